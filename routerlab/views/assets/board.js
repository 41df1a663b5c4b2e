// The live panels of routerlab: one module for notebooks (an anywidget) and for shared files (`play` is set).
// Data comes as a whole and then in numbered updates; routerlab/views/board.py says what they hold.
// Text is only ever put in as text, never as markup.

const CSS = "STYLE"; // the text of board.css; a shared file has it in its head
const STATES = ["closed", "open", "half-open"];
const SIGNS = ["●", "○", "◐"];
const COLOURS = ["#0072b2", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#d55e00", "#8c6d31", "#8a8f98"];
const DASHES = ["", "6 3", "2 3"];
const SPANS = [[60, "1 min"], [300, "5 min"], [1800, "30 min"]];
const QUIET_S = 3;
const LANE = 38;
const KEPT = 900;
const SVG = "http://www.w3.org/2000/svg";

// -- small things ------------------------------------------------------------------------------------------------

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Attributes, texts and children are only touched where they differ: most of a page stays as it is.
function set(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
function put(node, key, make) {
  if (node.made === key) return;
  node.made = key;
  node.replaceChildren(...make());
}

const known = (value) => value !== null && value !== undefined;
const px = (value) => Math.round(value * 10) / 10;
const whole = (value) => Math.round(value).toLocaleString("en-US");
function took(seconds) {
  if (!known(seconds)) return "–";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.95) return `${Number(seconds.toPrecision(3))} s`;
  const rest = Math.round(seconds);
  return rest < 5400 ? `${Math.floor(rest / 60)} min ${rest % 60} s` : `${Math.floor(rest / 3600)} h ${Math.floor(rest / 60) % 60} min`;
}
const share = (thousandths) => (known(thousandths) ? `${Math.floor(thousandths) / 10} %` : "–");
function money(usd) {
  if (!known(usd)) return "–";
  if (usd === 0) return "$0";
  return usd >= 0.995 ? `$${usd.toFixed(2)}` : `$${Number(usd.toPrecision(2)).toFixed(Math.max(2, 1 - Math.floor(Math.log10(usd))))}`;
}
const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
const short = (name, most) => {
  const half = (most - 1) / 2;
  return name.length <= most ? name : `${name.slice(0, Math.ceil(half))}…${name.slice(name.length - Math.floor(half))}`;
};
const look = (place) => ({ colour: COLOURS[place % COLOURS.length], dash: DASHES[Math.floor(place / COLOURS.length) % DASHES.length] });

// -- the data of one lab -----------------------------------------------------------------------------------------

class Store {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.offset = -Infinity;
    this.asked = 0;
    this.load(model.get("whole"));
    model.on("change:whole", () => this.load(model.get("whole")));
    model.on("change:tick", () => this.take(model.get("tick")));
    const tick = model.get("tick");
    if (tick && tick.n > this.n) this.take(tick);
  }
  load(data) {
    if (!data || !data.models) return;
    if (known(this.n) && data.n < this.n) return;
    const models = data.models;
    Object.assign(this, { n: data.n, at: data.at, models, names: data.names, c: data.c, b: data.b, x: data.x || {} });
    this.now = models.map((_, place) => data.s[place]);
    this.points = data.p.map((point) => [point[0] + data.t, ...point.slice(1)]);
    this.lanes = models.map(() => [[0, 0]]);
    for (const [at, place, state] of data.g) this.lanes[place].push([at, state]);
    this.marks = data.e.slice();
    this.traces = data.f.slice();
    this.hear(data.t);
    this.told({ whole: true });
  }
  take(tick) {
    if (!tick || !known(tick.n) || !this.models) return;
    if (tick.n <= this.n) return;
    if (tick.n > this.n + 1) { // something was missed: ask for the whole
      if (Date.now() - this.asked > 1000) { this.asked = Date.now(); this.send({ do: "whole" }); }
      return;
    }
    this.n = tick.n;
    this.at = tick.t;
    for (const [place, state] of Object.entries(tick.s || {})) this.now[place] = state;
    for (const point of tick.p || []) this.points.push(point);
    if (this.points.length > KEPT) this.thin();
    if (tick.b) this.b = tick.b;
    if (tick.c) this.c = tick.c;
    if (tick.x) this.x = tick.x;
    for (const [at, place, state] of tick.g || []) this.lanes[place].push([at, state]);
    for (const lane of this.lanes) if (lane.length > 400) lane.splice(1, lane.length - 300);
    this.marks.push(...(tick.e || []));
    if (this.marks.length > 600) this.marks.splice(0, this.marks.length - 400);
    this.traces.push(...(tick.f || []));
    if (this.traces.length > 24) this.traces.splice(0, this.traces.length - 12);
    this.hear(tick.t);
    this.told(tick);
  }
  thin() { // the older half in pairs, as the kernel does
    const old = this.points.splice(0, KEPT / 2), kept = [];
    for (let i = 0; i + 1 < old.length; i += 2) {
      const a = old[i], b = old[i + 1].slice();
      b[1] = b[0] - a[0] + a[1];
      for (let j = 5; j < b.length; j += 5) { b[j] += a[j]; b[j + 1] += a[j + 1]; }
      kept.push(b);
    }
    this.points.unshift(...kept);
  }
  hear(at) { this.offset = Math.max(this.offset - 0.002, at - Date.now() / 1000); }
  clock() { return this.play ? this.play.at : Date.now() / 1000 + this.offset; }
  quiet() { return this.clock() - this.at; }
  told(tick) { for (const view of this.views) view.draw(tick); }
  send(message) { if (!this.play) this.model.send(message); }
}

// -- timelines: what is drawn slides to the left as time goes on ----------------------------------------------------

class Timeline {
  constructor(view, height, label) {
    this.view = view;
    this.height = height;
    this.slider = s("g");
    this.svg = s("svg", { class: "rlb-time", height, role: "img", "aria-label": label, preserveAspectRatio: "none" }, this.slider);
    this.anchor = 0;
  }
  size(width) {
    this.width = Math.max(10, width);
    set(this.svg, "width", this.width);
    set(this.svg, "viewBox", `0 0 ${this.width} ${this.height}`);
  }
  begin(now) { // coordinates are pixels after an anchor, so that they stay small
    this.anchor = now;
    this.scale = this.width / this.view.span;
    this.left = now - this.view.span * 1.05;
    this.far = px(this.view.span * this.scale);
  }
  x(at) { return px((Math.max(at, this.left) - this.anchor) * this.scale); }
  slide(now) { if (this.scale) set(this.slider, "transform", `translate(${px(this.width - (now - this.anchor) * this.scale)} 0)`); }
  at(event) { // the time under the pointer
    const box = this.svg.getBoundingClientRect();
    return this.view.moment - this.view.span * (1 - (event.clientX - box.left) / Math.max(1, box.width));
  }
}

function grid(line, height) {
  const step = [5, 10, 30, 60, 300, 600].find((seconds) => line.view.span / seconds <= 7);
  let path = "";
  for (let at = Math.ceil(line.left / step) * step; at < line.anchor + line.view.span; at += step) path += `M${line.x(at)} 0v${height}`;
  return path;
}

class Lane {
  constructor(view, place) {
    const name = view.store.models[place];
    this.view = view; this.place = place; this.name = name;
    this.time = new Timeline(view, LANE, "");
    const g = this.time.slider, path = (cls) => g.appendChild(s("path", { class: cls }));
    this.grid = path("rlb-grid");
    this.open = path("rlb-open"); this.openHatch = path("rlb-hatch-open");
    this.half = path("rlb-half"); this.halfHatch = path("rlb-hatch-half");
    this.ok = path("rlb-ok"); this.failed = path("rlb-failed"); this.failedHatch = path("rlb-hatch-failed");
    this.okNow = path("rlb-ok"); this.failedNow = path("rlb-failed");
    this.marks = g.appendChild(s("g"));
    this.state = h("div", { class: "rlb-state" });
    this.numbers = h("div", { class: "rlb-numbers" });
    const { colour, dash } = look(place);
    this.key = s("svg", { class: "rlb-key", width: 18, height: 8, "aria-hidden": "true" },
      s("line", { x1: 0, x2: 18, y1: 4, y2: 4, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash }));
    this.el = h("div", { class: "rlb-lane", role: "listitem", tabindex: 0 },
      h("div", { class: "rlb-who" }, h("div", { class: "rlb-name", title: name }, this.key, h("span", {}, view.store.names[place])), this.state),
      this.box = h("div", { class: "rlb-band" }, this.time.svg), this.numbers);
    this.box.addEventListener("pointermove", (event) => this.tip(event));
    this.box.addEventListener("pointerleave", () => view.hush());
  }
  size() { this.time.size(this.box.clientWidth); }
  draw(now, most) {
    const { store } = this.view, line = this.time, p = this.place;
    line.begin(now);
    set(this.grid, "d", grid(line, LANE));
    const bands = ["", "", ""], steps = store.lanes[p];
    for (let i = 0; i < steps.length; i++) {
      const from = steps[i][0], to = i + 1 < steps.length ? steps[i + 1][0] : Infinity;
      if (to < line.left || from > now) continue;
      const a = line.x(from), b = to === Infinity ? line.far : line.x(Math.min(to, now));
      bands[steps[i][1]] += `M${a} 0H${Math.max(b, a + 1)}V${LANE}H${a}z`;
    }
    for (const [node, d] of [[this.open, bands[1]], [this.openHatch, bands[1]], [this.half, bands[2]], [this.halfHatch, bands[2]]]) set(node, "d", d);
    let ok = "", failed = "";
    const room = LANE - 10, at = 2 + 5 * p;
    for (const point of store.points) {
      if (point[0] < line.left || point[0] > now) continue;
      const good = point[at + 3], bad = point[at + 4];
      if (!good && !bad) continue;
      const wide = Math.max(1.5, point[1] * line.scale - 1), a = px(line.x(point[0]) - wide);
      const tall = (count) => px(Math.max(count ? 2 : 0, room * Math.min(1, count / point[1] / most)));
      const up = tall(good), more = tall(bad);
      if (good) ok += `M${a} ${LANE}v${-up}h${px(wide)}v${up}z`;
      if (bad) failed += `M${a} ${px(LANE - up)}v${-more}h${px(wide)}v${more}z`;
    }
    set(this.ok, "d", ok); set(this.failed, "d", failed); set(this.failedHatch, "d", failed);
    const marks = store.marks.filter((mark) => mark[1] === p && mark[0] >= line.left && mark[0] <= now).slice(-60);
    put(this.marks, `${line.anchor} ${marks.length}`, () => marks.map(([when, , kind, words]) => {
      const x = line.x(when);
      const shape = { probe: `M${x} 1l4 5l-4 5l-4 -5z`, hand: `M${x - 4} 2h8v8h-8z`, fault: `M${x - 4} 1h8l-4 9z`, clear: `M${x - 4} 10h8l-4 -9z` }[kind] || `M${x - 4} 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0`;
      return s("path", { d: shape, class: `rlb-mark rlb-mark-${kind}` }, s("title", {}, `${clock(when)} ${words}`));
    }));
    this.tail(now, most);
  }
  tail(now, most) { // the second that is not over yet
    const { store } = this.view, line = this.time, good = store.b[2 * this.place], bad = store.b[2 * this.place + 1];
    const live = !store.play, room = LANE - 10;
    const last = store.points.length ? store.points[store.points.length - 1][0] : 0;
    const from = store.at - last < 2 ? last : store.at - 1, length = Math.max(0.25, store.at - from);
    const tall = (count) => px(Math.max(count ? 2 : 0, room * Math.min(1, count / length / most)));
    const a = line.x(from), wide = px(Math.max(1.5, length * line.scale - 1)), up = tall(good);
    set(this.okNow, "d", live && good ? `M${a} ${LANE}v${-up}h${wide}v${up}z` : "");
    set(this.failedNow, "d", live && bad ? `M${a} ${px(LANE - up)}v${-tall(bad)}h${wide}v${tall(bad)}z` : "");
  }
  write(now) {
    const state = this.view.stateAt(this.place, now), [breaker, until, score, success, latency, flying, samples, note, end] = state;
    const left = until && breaker === 1 ? Math.max(0, until - now) : 0;
    const rest = note && end ? `${note} ${took(Math.max(0, end - now))}` : note;
    const words = `${SIGNS[breaker]} ${STATES[breaker]}${left ? ` · probe in ${Math.ceil(left)} s` : ""}${rest ? ` · ${rest}` : ""}`;
    say(this.state, words);
    set(this.state, "class", `rlb-state rlb-is-${breaker}`);
    set(this.time.svg, "aria-label", `${this.name}: breaker ${STATES[breaker]}, success ${share(success)}`);
    put(this.numbers, [score, success, latency, flying, samples].join(), () => [
      h("span", { title: `share of successes among the last ${samples} attempts` }, known(success) ? h("b", {}, share(success)) : "no data yet", known(success) ? " ok" : ""),
      h("span", { title: "mean latency of recent successes" }, known(latency) ? took(latency / 1000) : ""),
      h("span", { title: "EWMA score, 0 to 1" }, known(score) ? `score ${(score / 1000).toFixed(2)}` : ""),
      h("span", { title: "attempts under way" }, flying ? `${flying} in flight` : ""),
    ]);
  }
  tip(event) {
    const { view } = this, { store } = view, at = this.time.at(event), state = view.laneAt(this.place, at);
    const point = nearest(store.points, at), base = 2 + 5 * this.place;
    const lines = [`${clock(at)} · breaker ${STATES[state]}`];
    if (point) {
      lines.push(`${whole(point[base + 3])} succeeded, ${whole(point[base + 4])} failed in ${Number(point[1].toFixed(1))} s`);
      lines.push(`score ${known(point[base]) ? (point[base] / 1000).toFixed(3) : "–"} · success ${share(point[base + 1])} · latency ${known(point[base + 2]) ? took(point[base + 2] / 1000) : "–"}`);
    }
    const slack = 6 / this.time.scale;
    for (const [when, place, , words] of store.marks) if (place === this.place && Math.abs(when - at) < slack) lines.push(`${clock(when)} ${words}`);
    view.show(event, this.name, lines);
  }
}

function nearest(points, at) {
  let low = 0, high = points.length;
  while (low < high) { const middle = (low + high) >> 1; if (points[middle][0] < at) low = middle + 1; else high = middle; }
  const point = points[low];
  return point && at >= point[0] - point[1] - 1 ? point : null;
}

const MEASURES = {
  score: { title: "EWMA score", offset: 0, top: 1000, read: (value) => (value / 1000).toFixed(3), ticks: [0, 500, 1000], name: (v) => String(v / 1000) },
  success: { title: "Success rate", offset: 1, top: 1000, read: share, ticks: [0, 500, 1000], name: (v) => `${v / 10} %` },
  latency: { title: "Latency", offset: 2, top: 0, read: (value) => took(value / 1000), ticks: [], name: (v) => took(v / 1000) },
};

class Chart {
  constructor(view, measure, height) {
    Object.assign(this, { view, height, is: MEASURES[measure] });
    this.time = new Timeline(view, height, `${this.is.title} of each model over time`);
    this.grid = this.time.slider.appendChild(s("path", { class: "rlb-grid" }));
    this.lines = view.store.models.map((_, place) => {
      const { colour, dash } = look(place);
      return this.time.slider.appendChild(s("path", { class: "rlb-line", stroke: colour, "stroke-dasharray": dash }));
    });
    this.cursor = this.time.svg.appendChild(s("path", { class: "rlb-cursor" }));
    this.axis = s("g", { class: "rlb-axis" });
    this.axisBox = s("svg", { class: "rlb-axisbox", width: 46, height, "aria-hidden": "true" }, this.axis);
    this.box = h("div", { class: "rlb-plot" }, this.time.svg);
    this.el = h("figure", { class: `rlb-chart rlb-chart-${measure}` }, h("figcaption", {}, this.is.title), h("div", { class: "rlb-row" }, this.axisBox, this.box));
    this.box.addEventListener("pointermove", (event) => this.tip(event));
    this.box.addEventListener("pointerleave", () => { set(this.cursor, "d", ""); view.hush(); });
  }
  size() { this.time.size(this.box.clientWidth); }
  y(value) { return px(this.height - 5 - (this.height - 12) * Math.min(1, value / this.top)); }
  draw(now) {
    const { view, is } = this, { store } = view, line = this.time;
    line.begin(now);
    const shown = store.points.filter((point) => point[0] >= line.left - 60 && point[0] <= now);
    this.top = is.top || this.ceiling(shown);
    const ticks = is.ticks.length ? is.ticks : [0, this.top / 2, this.top];
    put(this.axis, ticks.join(), () => ticks.map((value) => s("text", { x: 42, y: this.y(value) + 4, "text-anchor": "end" }, is.name(value))));
    set(this.grid, "d", grid(line, this.height) + ticks.map((value) => `M${line.x(line.left)} ${this.y(value)}H${line.far}`).join(""));
    store.models.forEach((_, place) => {
      let d = "", last = null;
      if (!view.hidden.has(place)) {
        for (const point of shown) {
          const value = point[2 + 5 * place + is.offset];
          if (!known(value)) { last = null; continue; }
          const x = line.x(point[0]), y = this.y(value);
          if (last === null) d += `M${x} ${y}`;
          else d += (point[0] - point[1] > last[0] + 0.6 ? `H${line.x(point[0] - point[1])}` : "") + `L${x} ${y}`;
          last = point;
        }
        const value = view.stateAt(place, now)[2 + is.offset];
        if (known(value)) d += `${d && last ? "L" : "M"}${line.x(store.play ? now : Math.min(now, store.at))} ${this.y(value)}` + (store.play ? "" : `H${line.far}`);
      }
      set(this.lines[place], "d", d);
    });
  }
  ceiling(shown) {
    let top = 0;
    this.view.store.models.forEach((_, place) => {
      if (this.view.hidden.has(place)) return;
      for (const point of shown) top = Math.max(top, point[4 + 5 * place] || 0);
      top = Math.max(top, this.view.store.now[place][4] || 0);
    });
    if (!top) return 1000;
    const unit = 10 ** Math.floor(Math.log10(top));
    return unit * [1, 2, 4, 6, 8, 10].find((factor) => factor * unit >= top);
  }
  tip(event) {
    const { view, is } = this, { store } = view, at = this.time.at(event), point = nearest(store.points, at);
    const box = this.time.svg.getBoundingClientRect(), x = px(event.clientX - box.left);
    set(this.cursor, "d", `M${x} 0v${this.height}`);
    const lines = store.names.map((name, place) => [name, place])
      .filter(([, place]) => !view.hidden.has(place))
      .map(([name, place]) => {
        const value = point ? point[2 + 5 * place + is.offset] : view.stateAt(place, at)[2 + is.offset];
        return [place, `${name}: ${known(value) ? is.read(value) : "–"}`];
      });
    view.show(event, `${is.title} at ${clock(at)}`, lines);
  }
}

// -- sections ---------------------------------------------------------------------------------------------------

const SECTIONS = {
  counters: (view) => {
    const tile = (name, title) => {
      const value = h("b", {}), small = h("small", {});
      return { el: h("div", { class: "rlb-tile", title }, h("span", {}, name), value, small), value, small };
    };
    const tiles = {
      rate: tile("calls/s", "over the last 5 seconds"), success: tile("success", "calls that were answered"),
      moved: tile("failovers", "changes of model"), tokens: tile("tokens/s", "over the last 5 seconds"), spend: tile("spend", "of calls whose price is known"),
    };
    const el = h("div", { class: "rlb-tiles" }, Object.values(tiles).map((one) => one.el));
    return { el, write: () => {
      const c = view.counters(), ended = c.ok + c.failed;
      say(tiles.rate.value, c.calls_s >= 100 ? whole(c.calls_s) : c.calls_s.toFixed(1)); say(tiles.rate.small, `${whole(c.calls)} calls`);
      say(tiles.success.value, ended ? share(1000 * c.ok / ended) : "–"); say(tiles.success.small, c.failed ? `${whole(c.failed)} failed` : ended ? "none failed" : "no call yet");
      say(tiles.moved.value, whole(c.failovers)); say(tiles.moved.small, c.calls ? `${share(1000 * c.failovers / c.calls)} of calls` : "");
      say(tiles.tokens.value, whole(c.tokens_s)); say(tiles.tokens.small, `${whole(c.tokens)} tokens`);
      say(tiles.spend.value, money(c.cost_usd)); say(tiles.spend.small, known(c.cost_usd) && c.ok ? `${money(1000 * c.cost_usd / c.ok)} per 1,000` : "");
    } };
  },

  breakers: (view) => {
    const lanes = view.store.models.map((_, place) => new Lane(view, place));
    const axis = new Timeline(view, 16, "time"), texts = axis.slider;
    const box = h("div", { class: "rlb-band rlb-scale" }, axis.svg);
    const key = (cls, words) => h("span", {}, s("svg", { width: 16, height: 12, "aria-hidden": "true" }, cls.map((one) => s("path", { class: one, d: "M0 0h16v12h-16z" }))), words);
    const sign = (d, cls, words) => h("span", {}, s("svg", { width: 12, height: 12, "aria-hidden": "true" }, s("path", { class: `rlb-mark rlb-mark-${cls}`, d })), words);
    const legend = h("div", { class: "rlb-legend" }, key(["rlb-open", "rlb-hatch-open"], "open"), key(["rlb-half", "rlb-hatch-half"], "half-open"),
      key(["rlb-ok"], "succeeded"), key(["rlb-failed", "rlb-hatch-failed"], "failed"), sign("M6 1l4 5l-4 5l-4 -5z", "probe", "probe"),
      sign("M2 2h8v8h-8z", "hand", "by hand"), sign("M2 1h8l-4 9z", "fault", "fault"), sign("M2 10h8l-4 -9z", "clear", "cleared"), sign("M2 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", "out", "cooling, out or back"));
    const el = h("section", {}, h("h4", {}, "Breakers"), h("div", { role: "list", class: "rlb-lanes" }, lanes.map((lane) => lane.el)),
      h("div", { class: "rlb-lane rlb-foot" }, h("div", { class: "rlb-who" }), box, h("div", { class: "rlb-numbers" })), legend);
    const each = () => lanes.filter((lane) => !view.hidden.has(lane.place));
    const most = () => {
      let top = 1;
      const from = view.moment - view.span;
      for (const point of view.store.points) if (point[0] >= from) for (let j = 5; j < point.length; j += 5) top = Math.max(top, (point[j] + point[j + 1]) / point[1]);
      return top;
    };
    let high = 1;
    return {
      el, lanes,
      size: () => { for (const lane of each()) lane.size(); axis.size(box.clientWidth); },
      draw: (now) => {
        high = most();
        for (const lane of lanes) { set(lane.el, "class", view.hidden.has(lane.place) ? "rlb-lane rlb-gone" : "rlb-lane"); lane.key.style.display = view.parts.has("scores") ? "" : "none"; }
        for (const lane of each()) lane.draw(now, high);
        axis.begin(now);
        const step = [10, 15, 30, 60, 300, 600].find((seconds) => view.span / seconds * 62 <= axis.width) || 600;
        const first = Math.ceil(axis.left / step) * step, far = now + 1;
        put(texts, `${axis.anchor} ${axis.width} ${view.span}`, () => {
          const made = [];
          for (let at = first; at < far; at += step) made.push(s("text", { x: axis.x(at), y: 12, "text-anchor": "middle", class: "rlb-tick" }, clock(at)));
          return made;
        });
      },
      tail: (now) => { for (const lane of each()) lane.tail(now, high); },
      write: (now) => { for (const lane of each()) lane.write(now); },
      slide: (now) => { for (const lane of each()) lane.time.slide(now); axis.slide(now); },
    };
  },

  scores: (view) => {
    const charts = [new Chart(view, "score", 130), new Chart(view, "success", 130), new Chart(view, "latency", 130)];
    return {
      el: h("section", {}, h("h4", {}, "Scores"), h("div", { class: "rlb-charts" }, charts.map((chart) => chart.el))),
      size: () => charts.forEach((chart) => chart.size()),
      draw: (now) => charts.forEach((chart) => chart.draw(now)),
      slide: (now) => charts.forEach((chart) => chart.time.slide(now)),
    };
  },

  failovers: (view) => {
    const list = h("div", { class: "rlb-list", role: "listbox", "aria-label": "latest failovers" });
    const detail = h("div", { class: "rlb-detail" });
    const el = h("section", { class: "rlb-failovers" }, h("h4", {}, "Failovers"), h("div", { class: "rlb-two" }, list, detail));
    const pick = (id) => { view.picked = id; draw(view.moment); };
    const keys = (event) => {
      const step = { ArrowDown: "nextSibling", ArrowUp: "previousSibling" }[event.key];
      const to = step && event.currentTarget[step];
      if (to) { event.preventDefault(); to.focus(); to.click(); }
    };
    const draw = (now) => {
      const traces = view.store.traces.filter((trace) => trace.at <= now + 1).slice(-8).reverse();
      const chosen = traces.find((trace) => trace.id === view.picked) || traces[0];
      put(list, traces.map((trace) => trace.id).join() + (chosen ? chosen.id : ""), () => traces.length ? traces.map((trace) => {
        const names = trace.lanes.filter((lane) => lane[2].length).map((lane) => view.brief(lane[0]));
        return h("button", { type: "button", role: "option", "data-call": trace.id, "aria-selected": String(trace === chosen), onclick: () => pick(trace.id), onkeydown: keys, title: trace.head },
          h("span", {}, clock(trace.at)), h("span", { class: "rlb-way" }, names.join(" → ")), h("span", { class: trace.ok ? "" : "rlb-bad" }, `${trace.ok ? "✓" : "✗"} ${took(trace.s)}`));
      }) : [h("p", { class: "rlb-none" }, "No call has moved on to another model.")]);
      put(detail, chosen ? `${chosen.id} ${view.width}` : "", () => (chosen ? traceParts(view, chosen, Math.max(280, detail.clientWidth || 600)) : []));
    };
    return { el, draw };
  },

  trace: (view) => {
    const el = h("section", {});
    return { el, draw: () => {
      const trace = view.store.traces[view.store.traces.length - 1];
      put(el, trace ? `${trace.id} ${view.width}` : "none", () => (trace ? traceParts(view, trace, Math.max(280, el.clientWidth || 600)) : [h("p", { class: "rlb-none" }, "No call has moved on to another model yet; the next one that does is shown here.")]));
    } };
  },

  runs: (view) => {
    const el = h("div", { class: "rlb-runs" });
    const cards = new Map();
    const card = (run) => {
      const bar = { ok: h("i", { class: "rlb-fill-ok" }), failed: h("i", { class: "rlb-fill-failed" }) };
      const words = h("span", {}), stop = h("button", { type: "button", "aria-label": `stop run ${run.name}`, onclick: () => { stop.disabled = true; view.act({ do: "stop", run: run.id }); } }, "Stop");
      const meter = h("div", { class: "rlb-meter", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `progress of ${run.name}` }, bar.ok, bar.failed);
      return { el: h("div", { class: "rlb-run" }, h("b", {}, run.name), meter, words, view.store.play ? null : stop), bar, words, meter, stop };
    };
    return { el, draw: () => {
      const about = view.store.model.get("about"), runs = (view.store.x.runs || []).filter((run) => !about || run.id === about);
      for (const run of runs) {
        if (!cards.has(run.id)) { cards.set(run.id, card(run)); el.append(cards.get(run.id).el); }
        const { bar, words, meter, stop } = cards.get(run.id), percent = (count) => `${run.total ? 100 * count / run.total : 0}%`;
        bar.ok.style.width = percent(run.ok); bar.failed.style.width = percent(run.failed);
        set(meter, "aria-valuenow", run.total ? Math.floor(100 * run.done / run.total) : 0);
        const busy = run.status === "running" || run.status === "pending";
        say(words, [busy ? "" : run.status, `${whole(run.done)} of ${whole(run.total)}`, run.pending ? `${whole(run.pending)} pending` : "", run.cached ? `${whole(run.cached)} cached` : "",
          run.failed ? `${whole(run.failed)} failed` : "", run.failovers ? `${whole(run.failovers)} failed over` : "", known(run.cost) ? money(run.cost) : "", run.rate ? `${run.rate.toFixed(1)}/s` : "",
          busy && known(run.eta) ? `${took(run.eta)} left` : "", busy ? "" : took(run.elapsed), ...(run.notes || [])].filter(Boolean).join(" · "));
        stop.hidden = !busy || !run.stoppable;
      }
      for (const [id, one] of cards) if (!runs.some((run) => run.id === id)) { one.el.remove(); cards.delete(id); }
    } };
  },

  controls: (view) => {
    const { store } = view;
    if (store.play) return null;
    const select = (label, options) => h("select", { "aria-label": label }, options.map(([value, words]) => h("option", { value }, words)));
    const press = (words, title, message) => h("button", { type: "button", title, onclick: () => view.act(message()) }, words);
    const names = store.models.map((name, place) => [name, store.names[place]]);
    const model = select("model", names), kind = select("kind of fault", store.x.kinds || [["unavailable", "outage"]]);
    const duration = select("duration of the fault", [["10", "10 s"], ["20", "20 s"], ["60", "1 min"], ["300", "5 min"], ["", "until cleared"]]);
    duration.value = "20";
    const rate = select("rate of the traffic", [["1", "1/s"], ["3", "3/s"], ["10", "10/s"], ["30", "30/s"], ["100", "100/s"]]);
    rate.value = "3";
    const traffic = h("button", { type: "button", onclick: () => view.act({ do: "traffic", rate: store.x.traffic ? null : Number(rate.value) }) });
    const faults = h("span", { class: "rlb-active" });
    const el = h("div", { class: "rlb-controls", role: "group", "aria-label": "controls" },
      h("label", {}, "Model ", model),
      h("span", { class: "rlb-set" }, "Fault ", kind, " for ", duration,
        press("Inject", "break this model", () => ({ do: "fault", model: model.value, kind: kind.value, duration: duration.value ? Number(duration.value) : null })),
        press("Clear", "take its faults away", () => ({ do: "clear", model: model.value }))),
      h("span", { class: "rlb-set" }, "Breaker ", ["Open", "Close", "Reset"].map((words) => press(words, `${words.toLowerCase()} this model's breaker by hand`, () => ({ do: "breaker", model: model.value, change: words.toLowerCase() })))),
      h("span", { class: "rlb-set" }, "Traffic ", rate, traffic), faults);
    return { el, write: (now) => {
      say(traffic, store.x.traffic ? "Stop" : "Start");
      set(traffic, "title", store.x.traffic ? `stop the background calls (${store.x.traffic})` : "send calls in the background");
      say(faults, (store.x.faults || []).map(([name, words, end]) => `▽ ${name}: ${words}${end ? `, ${Math.max(0, Math.ceil(end - now))} s left` : ""}`).join(" · "));
    } };
  },
};

// -- one call ---------------------------------------------------------------------------------------------------

const KEYS = { ok: "rlb-ok", failed: "rlb-failed", neutral: "rlb-neutral" };

function traceParts(view, trace, width) {
  const left = Math.min(170, width * 0.3), right = width - 8, row = 22, x = (at) => px(left + (right - left) * Math.min(1, Math.max(0, at / (trace.s || 1))));
  const nodes = [];
  let top = 4;
  for (const [name, note, bars] of trace.lanes) {
    const height = Math.max(1, bars.length) * row + 6;
    nodes.push(s("rect", { class: "rlb-ground", x: 0, y: top, width, height, rx: 4 }), s("text", { x: 8, y: top + height / 2 + 4, class: "rlb-label" }, short(view.nameOf(name), Math.floor(left / 7.2)), s("title", {}, name)));
    if (!bars.length) nodes.push(s("text", { x: left, y: top + height / 2 + 4, class: "rlb-soft" }, `not asked: ${note}`));
    bars.forEach(([start, end, wait, outcome, label, first, , , , breaker], place) => {
      const y = top + 3 + place * row, a = x(start), b = Math.max(x(end), a + 3), box = { y: y + 3, height: row - 6, rx: 2 };
      if (wait) nodes.push(s("rect", { class: "rlb-wait", x: x(start - wait), width: Math.max(0, a - x(start - wait)), ...box }, s("title", {}, `waited ${took(wait)}`)));
      nodes.push(s("rect", { class: KEYS[outcome], x: a, width: b - a, ...box }, s("title", {}, `${label} · ${took(end - start)} · breaker ${breaker}`)));
      if (outcome !== "ok") nodes.push(s("rect", { class: "rlb-hatch-failed", x: a, width: b - a, "pointer-events": "none", ...box }));
      if (known(first)) nodes.push(s("rect", { class: "rlb-first", x: a, width: Math.max(0, x(first) - a), "pointer-events": "none", ...box }));
      const room = label.length * 6.4 + 10;
      const where = b + room < right ? { x: b + 6 } : a - room > left ? { x: a - 6, "text-anchor": "end" } : { x: (a + b) / 2, "text-anchor": "middle" };
      nodes.push(s("text", { class: "rlb-label rlb-halo", y: y + row / 2 + 4, ...where }, label));
    });
    top += height + 4;
  }
  const cell = (value) => h("td", {}, value);
  const head = (...names) => h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)));
  const attempts = trace.lanes.flatMap(([name, , bars]) => bars.map((bar) => [name, ...bar])).sort((a, b) => a[1] - b[1]);
  return [
    h("p", { class: "rlb-head" }, h("b", {}, trace.head), " ", h("span", {}, trace.info)),
    s("svg", { class: "rlb-fall", width, height: top + 16, role: "img", "aria-label": trace.head }, nodes,
      s("text", { x: left, y: top + 11, class: "rlb-soft" }, "0 s"), s("text", { x: right, y: top + 11, "text-anchor": "end", class: "rlb-soft" }, took(trace.s))),
    h("details", { open: width > 420 }, h("summary", {}, "Attempts and decisions"),
      h("table", {}, head("attempt", "why", "waited", "took", "result", "breaker", "score"), attempts.map(([name, start, end, wait, , label, , status, error, reason, breaker, score]) =>
        h("tr", {}, cell(name), cell(reason), cell(wait ? took(wait) : ""), cell(took(end - start)), cell([label, error].filter(Boolean).join(" · ")), cell(breaker), cell(score.map((one) => (known(one) ? one.toFixed(2) : "–")).join(" → "))))),
      h("div", { class: "rlb-steps" }, trace.steps.map(([chosen, strategy, candidates], step) => h("table", { class: "rlb-step" },
        h("caption", {}, `Decision ${step + 1}: ${chosen || "nobody"} by ${strategy}`), head("candidate", "score", "why not"),
        candidates.map(([name, score, why]) => h("tr", { class: name === chosen ? "rlb-chosen" : "" }, cell(`${name === chosen ? "✓ " : ""}${name}`), cell(known(score) ? Number(score.toPrecision(4)) : "–"), cell(why || (name === chosen ? "chosen" : ""))))))),
    ),
  ];
}

// -- a view -----------------------------------------------------------------------------------------------------

class View {
  constructor(store, el, show) {
    this.store = store;
    this.parts = new Set(show);
    this.hidden = new Set();
    this.paused = false;
    this.moment = store.clock();
    this.root = h("div", { class: "rlb" }, hatchings());
    this.status = h("span", { class: "rlb-status", role: "status" });
    this.tipBox = h("div", { class: "rlb-tip", hidden: true });
    this.error = h("div", { class: "rlb-error", role: "alert", hidden: true });
    this.sections = show.map((name) => SECTIONS[name](this)).filter(Boolean);
    const timed = this.parts.has("breakers") || this.parts.has("scores");
    this.root.append(this.bar(timed), this.error, ...this.sections.map((section) => section.el), this.tipBox);
    if (timed && store.models.length > 1 && this.parts.has("scores")) {
      const first = this.root.querySelector("section");
      first.before(this.chips());
    }
    el.append(...(store.play ? [] : [h("style", {}, CSS)]), this.root);
    for (const name of ["open", "half", "failed"]) this.root.style.setProperty(`--hatch-${name}`, `url(#rlb${uid}-${name})`);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.root);
    store.views.add(this);
    this.resize();
    const frame = () => {
      this.frame();
      this.next = requestAnimationFrame(frame);
    };
    this.next = requestAnimationFrame(frame);
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.timer = setInterval(() => this.write(), 1000);
  }

  bar(timed) {
    const title = this.parts.has("counters") ? "routerlab" : "";
    this.hold = h("button", { type: "button", class: "rlb-pause", "aria-pressed": "false", onclick: () => this.pause(!this.paused) }, "Pause");
    const { play } = this.store, spans = play ? [[play.length, "all"], ...SPANS.filter(([seconds]) => seconds < play.length)] : SPANS;
    this.span = spans[0][0];
    const span = h("select", { "aria-label": "time span", class: "rlb-span", onchange: () => { this.span = Number(span.value); this.draw(); } }, spans.map(([seconds, words]) => h("option", { value: seconds }, words)));
    const tools = timed ? [span, this.store.play ? null : this.hold] : [];
    return h("div", { class: "rlb-top", hidden: !timed && !title }, title ? h("strong", {}, title) : null, this.status, h("span", { class: "rlb-tools" }, tools));
  }

  chips() {
    const chips = this.store.models.map((name, place) => {
      const { colour, dash } = look(place);
      const chip = h("button", { type: "button", class: "rlb-chip", "aria-pressed": "true", title: `${name}: show or hide`, onclick: () => {
        if (this.hidden.has(place)) this.hidden.delete(place); else this.hidden.add(place);
        set(chip, "aria-pressed", String(!this.hidden.has(place)));
        this.resize();
      } }, s("svg", { width: 22, height: 8, "aria-hidden": "true" }, s("line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash })), this.store.names[place]);
      return chip;
    });
    return h("div", { class: "rlb-chips", role: "group", "aria-label": "models" }, chips);
  }

  pause(on) {
    this.paused = on;
    set(this.hold, "aria-pressed", String(on));
    say(this.hold, on ? "Go on" : "Pause");
    this.draw();
  }

  act(message) { this.store.send(message); }
  nameOf(model) { return this.store.names[this.store.models.indexOf(model)] || model; }
  brief(model) { // without a provider that all have
    const name = this.nameOf(model), provider = `${name.split("/")[0]}/`;
    return this.store.names.every((one) => one.startsWith(provider)) ? name.slice(provider.length) : name;
  }

  // What the models looked like then: now, while it is live; else read from the points and lanes.
  stateAt(place, at) {
    const live = this.store.now[place];
    if (!this.store.play && !this.paused) return live;
    const point = nearest(this.store.points, at) || before(this.store.points, at), breaker = this.laneAt(place, at);
    const next = this.store.lanes[place].find(([when]) => when > at);
    if (!point) return [breaker, 0, null, null, null, 0, 0, "", 0];
    const base = 2 + 5 * place;
    return [breaker, breaker === 1 && next && next[1] === 2 ? next[0] : 0, point[base], point[base + 1], point[base + 2], 0, "", "", 0];
  }
  laneAt(place, at) {
    let state = 0;
    for (const [when, next] of this.store.lanes[place]) if (when <= at) state = next;
    return state;
  }
  counters() {
    if (!this.store.play) return this.paused ? this.held : (this.held = this.store.c);
    const rows = this.store.play.counters;
    let found = { calls: 0, ok: 0, failed: 0, failovers: 0, tokens: 0, cost_usd: null, calls_s: 0, tokens_s: 0 };
    for (const row of rows) if (row[0] <= this.moment) found = row[1];
    return found;
  }

  resize() {
    const width = this.root.clientWidth;
    if (!width) return;
    this.width = Math.round(width / 40);
    set(this.root, "data-size", width < 760 ? "small" : width < 1100 ? "middle" : "large");
    for (const section of this.sections) if (section.size) section.size();
    this.draw();
  }

  draw(tick) {
    if (!this.root.clientWidth) return;
    if (!this.width) return this.resize();
    if (this.paused && tick) return this.write();
    const now = this.paused ? this.moment : this.store.clock();
    this.moment = now;
    const light = tick && !tick.whole && !tick.p && !tick.g && !tick.e && !tick.f && now - (this.drawn || 0) < 5;
    for (const section of this.sections) {
      if (light && section.tail) section.tail(now);
      else if (!(light && section.slide) && section.draw) section.draw(now);
    }
    if (!light) this.drawn = now;
    this.write();
    this.frame();
  }

  write() {
    const { store } = this, now = this.paused ? this.moment : store.clock();
    if (!this.paused && !store.play && now - (this.drawn || 0) > this.span * 0.9 && store.quiet() < QUIET_S) return this.draw();
    for (const section of this.sections) if (section.write) section.write(this.still() ? this.moment : now);
    const quiet = store.quiet(), { x } = store;
    const words = store.play ? `recorded ${clock(store.play.at)}` : x.closed ? "■ the lab is closed" : this.paused ? `‖ paused at ${clock(this.moment)}` : !store.at ? "nothing has happened yet" : quiet > QUIET_S ? `quiet for ${took(Math.floor(quiet))}` : "● live";
    say(this.status, words);
    const idle = !store.play && (x.closed || quiet > QUIET_S) && store.at;
    set(this.root, "data-idle", idle ? "yes" : "no");
    const trouble = x.error || "";
    say(this.error, trouble);
    this.error.hidden = !trouble;
  }

  still() { return this.paused || this.store.play || this.store.quiet() > QUIET_S; }

  frame() { // what has been drawn slides on; a quiet lab's picture stays where it is
    if (!this.root.isConnected || !this.root.clientWidth) return;
    const stop = this.store.play ? this.store.play.at : this.paused ? this.moment : Math.min(this.store.clock(), (this.store.at || this.store.clock()) + QUIET_S);
    if (this.calm && this.calm.matches && stop - (this.slid || 0) < 0.25) return;
    if (stop === this.slid && this.drawn === this.slidFor) return;
    this.slid = stop; this.slidFor = this.drawn; this.moment = stop;
    for (const section of this.sections) if (section.slide) section.slide(stop);
  }

  show(event, title, lines) {
    const box = this.root.getBoundingClientRect();
    this.tipBox.replaceChildren(h("b", {}, title), ...lines.map((line) => {
      const [place, words] = Array.isArray(line) ? line : [null, line];
      return h("div", {}, place === null ? null : h("i", { style: `background:${look(place).colour}` }), words);
    }));
    this.tipBox.hidden = false;
    const x = event.clientX - box.left, wide = this.tipBox.offsetWidth;
    this.tipBox.style.left = `${Math.max(4, Math.min(x + 14, box.width - wide - 4))}px`;
    this.tipBox.style.top = `${event.clientY - box.top + 18}px`;
  }
  hush() { this.tipBox.hidden = true; }

  end() {
    cancelAnimationFrame(this.next);
    clearInterval(this.timer);
    this.watcher.disconnect();
    this.store.views.delete(this);
    this.root.remove();
  }
}

let uid = 0;

function hatchings() { // states and outcomes are told apart without colour
  uid += 1;
  const pattern = (name, size, ...shapes) => s("pattern", { id: `rlb${uid}-${name}`, width: size, height: size, patternUnits: "userSpaceOnUse" }, shapes);
  const line = (d, stroke, opacity) => s("path", { d, stroke, "stroke-opacity": opacity, "stroke-width": 1.1, fill: "none" });
  return s("svg", { width: 0, height: 0, style: "position:absolute", "aria-hidden": "true" }, s("defs", {},
    pattern("open", 7, line("M0 7L7 0M-1 1L1 -1M6 8L8 6", "#d55e00", 0.7)), pattern("half", 6, s("circle", { cx: 3, cy: 3, r: 1.2, fill: "#e69f00" })),
    pattern("failed", 5, line("M0 5L5 0M-1 1L1 -1M4 6L6 4", "#101418", 0.4))));
}

function before(points, at) {
  let found = null;
  for (const point of points) if (point[0] <= at) found = point;
  return found;
}

const stores = new WeakMap();

function storeOf(model) {
  if (!stores.has(model)) stores.set(model, new Store(model));
  return stores.get(model);
}

function render({ model, el }) {
  const store = storeOf(model);
  let view = null;
  const begin = () => {
    if (view || !store.models) return;
    view = new View(store, el, model.get("show"));
    store.send({ do: "here" });
  };
  begin();
  if (!view) model.on("change:whole", begin);
  return () => {
    if (view) view.end();
    if (!store.views.size) store.send({ do: "gone" });
  };
}

// -- a shared file ----------------------------------------------------------------------------------------------

export function play(data, el) {
  const model = { get: (name) => (name === "whole" ? data.whole : data[name]), on: () => {}, send: () => {} };
  const store = new Store(model);
  const first = data.from, last = Math.max(first + 1, data.to);
  store.play = { at: last, counters: data.counters, length: last - first };
  const slider = h("input", { type: "range", min: 0, max: last - first, step: 0.05, value: last - first, "aria-label": "time", oninput: () => go(first + Number(slider.value)) });
  const words = h("output", {});
  const button = h("button", { type: "button", class: "rlb-play", onclick: () => (timer ? halt() : start()) }, "▶ Play");
  const speed = h("select", { "aria-label": "speed" }, [1, 2, 5, 10].map((times) => h("option", { value: times }, `${times} ×`)));
  const host = h("div", {});
  el.append(host, h("div", { class: "rlb rlb-player" }, button, speed, slider, words));
  const view = new View(store, host, data.show);
  let timer = null;
  const go = (at) => {
    store.play.at = Math.min(last, at);
    slider.value = store.play.at - first;
    say(words, `${took(store.play.at - first)} of ${took(last - first)}`);
    view.draw();
  };
  const halt = () => { clearInterval(timer); timer = null; say(button, "▶ Play"); };
  const start = () => {
    if (store.play.at >= last) go(first);
    say(button, "‖ Pause");
    timer = setInterval(() => { go(store.play.at + 0.1 * Number(speed.value)); if (store.play.at >= last) halt(); }, 100);
  };
  go(last);
  return { go, start, halt, view };
}

export default { render };
