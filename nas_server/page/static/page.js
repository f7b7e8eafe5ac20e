// Asks the server what there is, again and again while somebody looks, and shows it.

import { element, show } from "./tables.js";
import { draw } from "./timeline.js";
import { OUTCOMES, STATES, attemptsInWords, fromNow, span, timeOf } from "./words.js";

const EVERY_MS = 2000;
const PATIENCE_MS = 10000;
const id = (name) => document.getElementById(name);
const TABLES = { armed: "first", attempts: "newest", dead: "newest" }; // what they begin with
const wanted = { agent: "", hours: "6", armed: 0, attempts: 0, dead: 0 };
let told = null; // what the server said last
let ahead = 0; // of this machine's clock, the server's
let timer = 0;
let asking = null;

const now = () => Date.now() + ahead;

async function look() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const limit = setTimeout(() => mine.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(`state?${new URLSearchParams(wanted)}`, { signal: mine.signal });
    if (answer.status === 401 || answer.status === 404) return location.assign("login");
    if (!answer.ok) throw new Error((await answer.json()).error_description);
    told = await answer.json();
    ahead = told.now_ms - Date.now();
    render();
    if (told.trouble) live(`Live, but ${told.trouble}.`, true);
    else live(`Live · as of ${timeOf(told.now_ms, told.now_ms)} · version ${told.version}`, false);
  } catch (error) {
    if (mine !== asking) return; // a newer question took its place
    const why = error instanceof TypeError || error.name === "AbortError" ? "no answer" : error.message;
    live(`Not live: the server gives ${why}. Trying again.`, true);
  } finally {
    clearTimeout(limit);
    if (mine === asking && !document.hidden) timer = setTimeout(look, EVERY_MS);
  }
}

function live(text, stale) {
  const line = id("live");
  line.classList.toggle("stale", stale);
  if (line.textContent !== text) line.textContent = text;
}

function render() {
  const { counts, lateness } = told;
  for (const name of ["armed", "due", "firing", "dead"]) id(`count-${name}`).textContent = counts[name];
  id("count-late").textContent = lateness.of
    ? `median ${span(lateness.p50_ms)}, 99 % ${span(lateness.p99_ms)}, worst ${span(lateness.worst_ms)}`
    : "nothing fired yet";
  draw(id("timeline"), told.timeline, now());
  rest();
  agents();
  show(id("armed-rows"), told.armed.rows, keyOf, armedCells);
  show(id("dead-rows"), told.dead.rows, keyOf, deadCells);
  show(id("attempts-rows"), told.attempts.rows, (one) => `${one.schedule_id} ${one.number} ${one.ended_ms}`, attemptCells);
  id("armed-none").textContent = told.too_many
    ? "More are armed than this store puts in order: choose an agent." : "Nothing is armed.";
  Object.keys(TABLES).forEach(pager);
}

function rest() {
  const { others, beyond, to_ms: to } = told.timeline;
  const parts = [];
  if (others) parts.push(`${others} of other agents within these hours`);
  if (beyond) parts.push(`${beyond} later than ${timeOf(to, now())}`);
  if (!told.armed.whole || told.too_many) parts.push(`only the first ${told.armed.of} are looked at`);
  id("timeline-rest").textContent = parts.length ? `Not shown: ${parts.join("; ")}.` : "";
}

function agents() {
  const names = new Set([...told.timeline.lanes, ...told.attempts.rows, ...told.dead.rows].map((one) => one.agent));
  const list = id("agents");
  const known = [...names].sort();
  if (list.dataset.known === JSON.stringify(known)) return;
  list.dataset.known = JSON.stringify(known);
  list.replaceChildren(...known.map((name) => element("option", undefined, { value: name })));
}

const keyOf = (one) => one.schedule_id;
const label = ([shape, word]) => `${shape} ${word}`;

function armedCells(one, row) {
  const state = STATES[one.state];
  const firing = one.state === "firing";
  const again = one.attempts ? `${attemptsInWords(one.attempts)}, fire time ${timeOf(one.due_ms, now())}` : "";
  return [
    ["State", label(state), "", `state ${state[2]}`],
    ["Agent", one.agent, one.callback_url],
    ["Job", one.job_id, credential(one)],
    ["Fires", firing ? "now" : fromNow(one.wake_ms, now()), firing ? again : [timeOf(one.wake_ms, now()), again].filter(Boolean).join("; ")],
    ["Last answer", one.last_answer || "–"],
    ["Do", actions(one, row, ["fire", "cancel"], firing), "", "act"],
  ];
}

function credential(one) {
  const now = one.credential_now;
  const replaced = now === null || now === one.credential ? "" : `, replaced by ${now}`;
  return `armed by credential ${one.credential}${replaced}`;
}

function deadCells(one, row) {
  return [
    ["State", label(STATES.dead), "", "state bad"],
    ["Agent", one.agent, one.callback_url],
    ["Job", one.job_id, credential(one)],
    ["Was to fire", timeOf(one.due_ms, now()), fromNow(one.due_ms, now())],
    ["Why", one.last_answer, `${attemptsInWords(one.attempts)} and no 2xx within a day`],
    ["Do", actions(one, row, ["fire", "cancel"], false), "", "act"],
  ];
}

function attemptCells(one) {
  const outcome = OUTCOMES[one.then];
  const next = one.next_ms === null ? "" : `next ${timeOf(one.next_ms, now())}`;
  return [
    ["Outcome", label(outcome), "", `state ${outcome[2]}`],
    ["Agent", one.agent],
    ["Job", one.job_id],
    ["Attempt", String(one.number)],
    ["Began", timeOf(one.began_ms, now()), `for ${timeOf(one.due_ms, now())}`],
    ["Late", span(one.late_ms)],
    ["Took", span(one.ended_ms - one.began_ms)],
    ["Answer", one.answer, next],
  ];
}

const ACTIONS = {
  fire: ["Fire now", "Fire it now?", "is fired at once. If its time is still to come, it stays armed for that, too.", "Fire now", "Fired"],
  cancel: ["Cancel", "Cancel it?", "is not going to fire, unless its agent arms it again.", "Cancel it", "Cancelled"],
};

function actions(one, row, names, disabled) {
  row.one = one;
  const made = row.querySelector(".buttons");
  if (made) {
    for (const button of made.children) button.disabled = disabled;
    return made;
  }
  const buttons = element("div", undefined, { class: "buttons" });
  for (const name of names) {
    const button = element("button", ACTIONS[name][0], { type: "button", "aria-label": `${ACTIONS[name][0]}: ${one.job_id} of ${one.agent}` });
    button.disabled = disabled;
    button.addEventListener("click", () => ask(name, row.one));
    buttons.append(button);
  }
  return buttons;
}

function ask(name, one) {
  const [, head, what, yes] = ACTIONS[name];
  const dialog = id("sure");
  id("sure-head").textContent = head;
  id("sure-text").textContent = `Job ${one.job_id} of agent ${one.agent} ${what}`;
  id("sure-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue === "yes" && change(name, one);
  dialog.showModal();
}

async function change(name, { agent, job_id, schedule_id }) {
  const body = JSON.stringify({ agent, job_id, schedule_id });
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch(name, { method: "POST", headers, body });
    const said = await answer.json();
    id("done").textContent = answer.ok ? `${ACTIONS[name][4]}: ${job_id} of ${agent}.` : `Not done: ${said.error_description}.`;
  } catch {
    id("done").textContent = "Not done: the server gives no answer.";
  }
  look();
}

function pager(name) {
  const { offset, page, of, whole } = told[name];
  if (offset >= of) wanted[name] = Math.max(0, of - 1 - ((of - 1) % page)); // the last page
  id(`${name}-none`).hidden = of > 0;
  const nav = id(`${name}-pager`);
  const [back, which, on] = nav.children;
  nav.hidden = of <= page && !offset;
  const all = whole ? of : `the ${TABLES[name]} ${of}`;
  which.textContent = of ? `${Math.min(offset + 1, of)} to ${Math.min(offset + page, of)} of ${all}` : "";
  back.disabled = offset === 0;
  on.disabled = offset + page >= of;
}

for (const name of Object.keys(TABLES)) {
  const turn = (pages) => {
    wanted[name] = Math.max(0, wanted[name] + pages * told[name].page);
    look();
  };
  const [back, , on] = id(`${name}-pager`).children;
  back.addEventListener("click", () => turn(-1));
  on.addEventListener("click", () => turn(1));
}
id("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  Object.assign(wanted, { agent: id("agent").value.trim(), hours: id("hours").value, armed: 0, attempts: 0, dead: 0 });
  look();
});
id("hours").addEventListener("change", () => id("filter").requestSubmit());
document.addEventListener("visibilitychange", () => document.hidden || look());
look();
