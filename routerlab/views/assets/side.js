// Replies side by side: search, filters, pages, marks where words differ (an anywidget).
// Text is only ever put in as text, never as markup. Python is asked for the lines of each page that is shown.

const CSS = "STYLE"; // the text of side.css
const PATIENCE_MS = 1200; // then a busy kernel is told of
const TYPING_MS = 250;
const DIFFERS = 1, CODE = 2;
const SIGNS = { "✓": "rls-right", "✗": "rls-wrong" };
const ORDERS = [["disagreement", "disagreements first"], ["difference", "different texts first"], ["dataset", "dataset order"]];

function h(tag, name, ...children) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...children);
  return node;
}

function button(name, words, act) {
  const made = h("button", name, words);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

function choice(title, options, value, act) {
  const select = h("select", "", ...options.map(([name, words]) => new Option(words, name, false, name === value)));
  select.addEventListener("change", () => act(select.value));
  select.setAttribute("aria-label", title);
  return select;
}

function piece([text, kind]) {
  const inner = kind & CODE ? h("span", "rls-code", text) : text;
  return kind & DIFFERS ? h("mark", "", inner) : inner;
}

function words(given) {
  const node = h("div", "rls-text", ...given.parts.map(piece));
  node.dir = "auto";
  return node;
}

class Side {
  constructor(model, el) {
    this.model = model;
    this.about = model.get("about");
    this.view = Math.random().toString(36).slice(2);
    this.asked = 0;
    this.query = { search: "", show: "all", arm: "", order: this.about.order, scorer: this.about.scorer };
    this.reference = this.about.arms[0].name;
    this.folds = [];
    this.frame(el);
    this.heard = (message) => this.hear(message);
    model.on("msg:custom", this.heard);
    this.watch = new ResizeObserver(() => this.fold());
    this.watch.observe(this.scroll);
    const first = model.get("first");
    if (first.lines) this.draw(first);
    else this.ask(1);
  }

  stop() {
    this.model.off("msg:custom", this.heard);
    this.watch.disconnect();
    clearTimeout(this.typing);
    clearTimeout(this.waiting);
  }

  // -- the frame ---------------------------------------------------------------------------------------------------

  frame(el) {
    this.status = h("span", "rls-status");
    this.status.setAttribute("role", "status");
    this.chips = h("div", "rls-chips");
    this.chips.setAttribute("role", "group");
    this.chips.setAttribute("aria-label", "Which prompts");
    this.scroll = h("div", "rls-scroll");
    this.scroll.tabIndex = 0;
    this.scroll.setAttribute("role", "region");
    this.scroll.setAttribute("aria-label", "Replies side by side");
    this.pager = h("div", "rls-pager");
    this.legend = h("span", "");
    this.root = h("div", "rls rls-marked",
      h("div", "rls-top", h("b", "", this.about.headline), this.status),
      this.tools(), this.chips, this.scroll,
      h("div", "rls-foot-bar", this.legend, this.pager));
    // Jupyter's own shortcuts stay away while the keys are meant for us.
    this.root.dataset.lmSuppressShortcuts = "true";
    el.append(h("style", "", CSS), this.root);
  }

  tools() {
    const search = h("input");
    search.type = "search";
    search.placeholder = "Search prompts and replies";
    search.setAttribute("aria-label", "Search prompts and replies");
    search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.change({ search: search.value }), TYPING_MS);
    });
    search.addEventListener("keydown", (event) => event.stopPropagation());
    const { arms, scorers } = this.about;
    const tools = h("div", "rls-tools", search, choice("Order", ORDERS, this.query.order, (order) => this.change({ order })));
    if (scorers.length > 1)
      tools.append(choice("Scorer", scorers.map((name) => [name, `by ${name}`]), this.query.scorer, (scorer) => this.change({ scorer })));
    if (arms.length > 1) tools.append(...this.marking());
    return tools;
  }

  marking() {
    const toggle = button("rls-marks", "mark differences", () => {
      const on = this.root.classList.toggle("rls-marked");
      toggle.setAttribute("aria-pressed", on);
      this.explain();
    });
    toggle.setAttribute("aria-pressed", "true");
    const { arms } = this.about;
    if (arms.length < 3) return [toggle];
    const against = choice("mark what differs from", arms.map((arm) => [arm.name, `from ${arm.shown}`]), this.reference, (name) => {
      this.reference = name;
      this.ask(this.page.number);
    });
    return [toggle, against];
  }

  // -- asking ------------------------------------------------------------------------------------------------------

  change(part) {
    Object.assign(this.query, part);
    this.ask(1);
  }

  ask(page) {
    this.asked += 1;
    this.model.send({ view: this.view, ask: this.asked, page, query: this.query, reference: this.reference });
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.status.textContent = "waiting for the kernel…";
      this.scroll.classList.add("rls-old");
    }, PATIENCE_MS);
  }

  hear(message) {
    if (message.view !== this.view) return;
    if (message.line) this.fill(message.line);
    else if (message.ask === this.asked) {
      clearTimeout(this.waiting);
      this.scroll.classList.remove("rls-old");
      this.draw(message.page);
    }
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  draw(page) {
    this.page = page;
    this.folds = [];
    this.drawChips(page.counts);
    this.status.textContent = page.found ? `${page.from.toLocaleString("en")} to ${page.to.toLocaleString("en")} of ${page.found.toLocaleString("en")}` : "none";
    if (page.found) this.scroll.replaceChildren(this.table(page));
    else this.scroll.replaceChildren(h("p", "rls-none", "No prompt and no reply is like that."));
    this.scroll.scrollTop = 0;
    this.drawPager(page);
    this.explain();
    this.fold();
  }

  drawChips(counts) {
    const kinds = [["all", "", "all"], ["disagreements", "", "disagreements"], ["failed", "", "failures"]];
    for (const arm of this.about.arms) if (`wrong ${arm.name}` in counts) kinds.push(["wrong", arm.name, `${arm.short} wrong`]);
    const had = this.chips.contains(document.activeElement) && [...this.chips.children].indexOf(document.activeElement);
    this.chips.replaceChildren(...kinds.map(([show, arm, title]) => {
      const chip = button("rls-chip", title, () => this.change({ show, arm }));
      chip.append(h("span", "", counts[arm ? `wrong ${arm}` : show].toLocaleString("en")));
      chip.setAttribute("aria-pressed", show === this.query.show && arm === this.query.arm);
      return chip;
    }));
    if (had !== false) this.chips.children[had]?.focus({ preventScroll: true });
  }

  drawPager({ number, pages }) {
    if (pages < 2) { this.pager.replaceChildren(); return; }
    const had = this.pager.contains(document.activeElement) && document.activeElement.dataset.to;
    const step = (sign, words, to) => {
      const made = button("", sign, () => this.ask(to));
      made.setAttribute("aria-label", words);
      made.dataset.to = words;
      made.disabled = to < 1 || to > pages;
      return made;
    };
    this.pager.replaceChildren(
      step("«", "First page", number > 1 ? 1 : 0), step("‹ previous", "Previous page", number - 1),
      h("span", "", `page ${number.toLocaleString("en")} of ${pages.toLocaleString("en")}`),
      step("next ›", "Next page", number + 1), step("»", "Last page", number < pages ? pages : 0));
    if (had) [...this.pager.children].find((one) => one.dataset.to === had && !one.disabled)?.focus({ preventScroll: true });
  }

  explain() {
    const { arms } = this.about, marked = this.root.classList.contains("rls-marked");
    const name = arms.find((arm) => arm.name === this.reference).shown;
    this.legend.textContent = arms.length < 2 || !marked ? "" :
      arms.length === 2 ? "Underlined words are not in the other reply." : `Underlined words are not in the reply of ${name}; its own are missing in another one.`;
  }

  table(page) {
    const { arms } = this.about;
    const first = h("th", "", h("b", "", "prompt"));
    first.scope = "col";
    const heads = arms.map((arm, place) => {
      const key = h("i");
      key.style.background = arm.colour;
      const made = h("th", "", h("b", "", key, arm.shown), h("span", "rls-words", page.heads[place]));
      made.scope = "col";
      return made;
    });
    const table = h("table", "", h("colgroup", "", h("col", "rls-first"), ...arms.map(() => h("col"))),
      h("thead", "", h("tr", "", first, ...heads)), h("tbody", "", ...page.lines.map((line) => this.row(line))));
    table.style.cssText = `width: 100%; min-width: ${150 + 208 * arms.length}px`;
    return table;
  }

  row(line) {
    const group = { key: line.key, open: false, boxes: [] };
    this.folds.push(group);
    const repeat = line.repeat ? ` · repeat ${line.repeat + 1}` : "";
    const prompt = h("th", "", this.folded(line.prompt, { key: line.key, open: false, boxes: [], prompt: true }));
    prompt.scope = "row";
    if (line.target.parts.length) prompt.append(h("div", "rls-target", h("span", "", "expected "), words(line.target)));
    prompt.append(h("div", "rls-foot", h("span", "", `${line.id}${repeat}`), h(line.differs ? "b" : "span", "", line.agree)));
    return h("tr", "", prompt, ...line.cells.map((cell) => this.cell(cell, group)));
  }

  cell(cell, group) {
    const made = h("td", "", this.folded(cell, group));
    if (cell.state !== "ok") made.firstChild.classList.add("rls-words", `rls-${cell.state}`);
    if (cell.asked) made.append(h("details", "", h("summary", "", "asked in other words"), words(cell.asked)));
    const scores = cell.scores.map(([sign, name, value]) => h("span", "", ...(sign ? [h("i", SIGNS[sign], sign), " "] : []), `${name} `, h("b", "", value)));
    made.append(h("div", "rls-foot", ...scores, ...cell.facts.map((fact) => h("span", "", fact))));
    return made;
  }

  // -- folding: the replies of a line open together ------------------------------------------------------------------

  folded(given, group) {
    const text = words(given);
    const more = button("rls-more", "", () => this.turn(group));
    const box = h("div", "rls-fold", text, more);
    group.boxes.push({ box, text, more, left: given.more });
    if (!this.folds.includes(group)) this.folds.push(group);
    return box;
  }

  turn(group) {
    group.open = !group.open;
    if (group.open && group.boxes.some((one) => one.left)) this.model.send({ view: this.view, key: group.key, reference: this.reference });
    this.fold();
    if (!group.open) group.boxes[0].box.closest("tr").scrollIntoView({ block: "nearest" });
  }

  fold() {
    for (const group of this.folds)
      for (const one of group.boxes) {
        one.box.classList.toggle("rls-fold", !group.open);
        const long = group.open ? one.long : one.left > 0 || one.text.scrollHeight > one.text.clientHeight + 2;
        if (!group.open) one.long = long;
        one.box.classList.toggle("rls-cut", !group.open && long);
        one.more.hidden = !long;
        one.more.textContent = group.open ? (one.left ? "loading…" : "fold") : "show all";
        one.more.setAttribute("aria-expanded", group.open);
      }
  }

  fill(line) {
    for (const group of this.folds) {
      if (group.key !== line.key) continue;
      const givens = group.prompt ? [line.prompt] : line.cells;
      group.boxes.forEach((one, place) => {
        const text = words(givens[place]);
        if (givens[place].more) text.append(h("span", "rls-words", `\n… ${givens[place].more.toLocaleString("en")} more characters: the frame (.df) has them all`));
        one.text.replaceWith(text);
        Object.assign(one, { text, left: 0 });
      });
    }
    this.fold();
  }
}

function render({ model, el }) {
  const side = new Side(model, el);
  return () => side.stop();
}

export default { render };
