// A blind comparison by hand: one pair of replies at a time, a key for each verdict (an anywidget).
// Text is only ever put in as text, never as markup. Names of models are not here: the page is never told them.

const CSS = "STYLE"; // the text of label.css
const KEYS = [
  ["1", "1", "Reply 1 is better"],
  ["t", "tie", "Tie"],
  ["2", "2", "Reply 2 is better"],
  ["s", "skip", "Skip"],
  ["b", "back", "Back"],
];
const ALSO = { 0: "tie", T: "tie", S: "skip", B: "back", ArrowLeft: "1", ArrowRight: "2", Backspace: "back" };

function h(tag, name, ...children) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...children);
  return node;
}

function render({ model, el }) {
  const style = h("style", "", CSS);
  // Jupyter's own shortcuts (1 makes a heading of the cell) stay away while the keys are meant for us.
  const root = h("div", "rll");
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Blind comparison of two replies");
  el.append(style, root);
  let waiting = false;

  function say(verdict) {
    const pair = model.get("pair");
    if (waiting || (pair.done && verdict !== "back") || (verdict === "back" && pair.number < 2)) return;
    waiting = true;
    model.send({ verdict, number: pair.number });
  }

  function button([key, verdict, words], pair) {
    const made = h("button", "", h("kbd", "", key.toUpperCase()), words);
    made.type = "button";
    made.disabled = verdict === "back" ? pair.number < 2 : Boolean(pair.done);
    made.addEventListener("click", () => {
      say(verdict);
      root.focus({ preventScroll: true });
    });
    return made;
  }

  function side(title, text) {
    return h("div", "rll-side", h("h4", "", title), h("div", "rll-text", text));
  }

  function draw() {
    waiting = false;
    const pair = model.get("pair");
    const done = pair.done ? pair.total : pair.number - 1;
    const top = h("div", "rll-top", h("b", "", "Which reply is better?"), h("span", "", `${done} of ${pair.total} pairs seen`));
    top.setAttribute("aria-live", "polite");
    const bar = h("div", "rll-bar", h("div"));
    bar.firstChild.style.width = `${pair.total ? (100 * done) / pair.total : 0}%`;
    const keys = h("div", "rll-keys", ...KEYS.map((key) => button(key, pair)));
    if (pair.done) {
      root.replaceChildren(top, bar, h("div", "rll-text", pair.done), keys);
      return;
    }
    const prompt = h("div", "rll-text rll-prompt", pair.prompt);
    root.replaceChildren(top, bar, prompt, h("div", "rll-pair", side("Reply 1", pair.first), side("Reply 2", pair.second)), keys);
  }

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const known = KEYS.find(([key]) => key === event.key);
    const verdict = known ? known[1] : ALSO[event.key];
    if (!verdict) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) say(verdict);
  });
  model.on("change:pair", draw);
  draw();
  return () => model.off("change:pair", draw);
}

export default { render };
