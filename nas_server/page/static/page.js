// Asks the server what there is, again and again while somebody looks, and shows it.

import { element, show } from "./tables.js";
import { draw } from "./timeline.js";
import { OUTCOMES, STATES, attemptsInWords, fromNow, isFar, span, time, timeOf, useZone, zoneName } from "./words.js";

const EVERY_MS = 2000;
const PATIENCE_MS = 10000;
const MOST = 9999999; // the server takes no number of a row beyond
const id = (name) => document.getElementById(name);
const TABLES = ["armed", "attempts", "dead"];
const FILTERS = ["agent", "text", "hours", "zone"];
const wanted = { agent: "", text: "", hours: "6", zone: "", armed: 0, attempts: 0, dead: 0 };
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
    const answer = await fetch(`state?${question(Object.keys(wanted))}`, { signal: mine.signal });
    if (answer.status === 401 || answer.status === 404) return location.assign("login");
    if (!answer.ok) throw new Error((await answer.json()).error_description);
    told = await answer.json();
    ahead = told.now_ms - Date.now();
    render();
    if (told.arm_error) live(`Live, but ${told.arm_error}.`, true);
    else live(`Live · as of ${timeOf(told.now_ms, 0)}, ${zoneName()} · version ${told.version}`, false);
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

const question = (names) => new URLSearchParams(names.filter((name) => wanted[name]).map((name) => [name, wanted[name]]));
const linkTo = (agent) => `./?${new URLSearchParams({ agent, zone: wanted.zone })}`;
const number = (n) => (n === null ? "?" : n.toLocaleString());
const at = (ms) => time(ms, timeOf(ms, now()));
// On a phone a time with a day has a line of its own.
const when = (...times) => `main when${times.some((ms) => isFar(ms, now())) ? " far" : ""}`;

function render() {
  const { counts, lateness } = told;
  for (const name of ["armed", "due", "firing", "dead"]) id(`count-${name}`).textContent = number(counts[name]);
  id("count-late").textContent = lateness.of
    ? `median ${span(lateness.p50_ms)}, 99 % ${span(lateness.p99_ms)}, worst ${span(lateness.worst_ms)}`
    : "nothing fired yet";
  draw(id("timeline"), told.timeline, now(), linkTo);
  chart();
  rest();
  agents();
  show(id("armed-rows"), told.armed.rows, keyOf, nameOf, armedCells);
  show(id("dead-rows"), told.dead.rows, keyOf, nameOf, deadCells);
  show(id("attempts-rows"), told.attempts.rows, (one) => `${one.schedule_id} ${one.number} ${one.ended_ms}`, nameOf, attemptCells);
  id("armed-none").textContent = none();
  id("armed-note").textContent = number(told.armed.of);
  id("dead-note").textContent = number(told.dead.of);
  TABLES.forEach(pager);
}

function none() {
  if (told.too_many) return "More are armed than this store puts in order: choose an agent.";
  if (!told.agent_known) return `There is no agent named ${wanted.agent}.`;
  return wanted.text || wanted.agent ? "Nothing that fits is armed." : "Nothing is armed.";
}

function chart() {
  id("lateness").hidden = !told.chart;
  if (!told.chart || id("chart").dataset.told === told.chart) return;
  id("chart").dataset.told = told.chart;
  const drawn = new DOMParser().parseFromString(told.chart, "text/html").querySelector("svg");
  id("chart").replaceChildren(document.adoptNode(drawn));
}

function rest() {
  const { others, beyond, to_ms: to } = told.timeline;
  const parts = [];
  if (others) parts.push(`${number(others)} of other agents within these hours`);
  if (beyond) parts.push(`${number(beyond)} later than ${timeOf(to, now())}`);
  id("timeline-rest").textContent = parts.length ? `Not shown: ${parts.join("; ")}.` : "";
}

function agents() {
  const names = new Set([...told.timeline.agents, ...told.attempts.rows, ...told.dead.rows].map((one) => one.agent));
  const list = id("agents");
  const known = [...names].sort();
  if (list.dataset.known === JSON.stringify(known)) return;
  list.dataset.known = JSON.stringify(known);
  list.replaceChildren(...known.map((name) => element("option", undefined, { value: name })));
}

const keyOf = (one) => one.schedule_id;
const nameOf = (one) => `${one.job_id} of ${one.agent}`;
const label = ([shape, word]) => `${shape} ${word}`;
const owner = () => (wanted.agent ? "" : "owner");
const agentOf = (one) => ({ agent: one.agent, href: linkTo(one.agent) });

function armedCells(one, row) {
  const state = STATES[one.state];
  const firing = one.state === "firing";
  const again = one.attempts ? [attemptsInWords(one.attempts), ["fire time ", at(one.due_ms)]] : [];
  return [
    ["State", label(state), `main state ${state[2]}`],
    ["Agent", [agentOf(one), one.callback_url], owner()],
    ["Job", [one.job_id, credential(one)], "main job"],
    ["Fires", firing ? ["now", ...again] : [time(one.wake_ms, fromNow(one.wake_ms, now())), at(one.wake_ms), ...again], firing ? when() : when(one.wake_ms)],
    ["Last answer", one.last_answer || "–"],
    ["Do", actions(one, row, ["fire", "cancel"], firing), "act"],
  ];
}

function credential(one) {
  const now = one.credential_now;
  const replaced = now === null || now === one.credential ? "" : `, replaced by ${now}`;
  return `armed by credential ${one.credential}${replaced}`;
}

function deadCells(one, row) {
  return [
    ["State", label(STATES.dead), "main state bad"],
    ["Agent", [agentOf(one), one.callback_url], owner()],
    ["Job", [one.job_id, credential(one)], "main job"],
    ["Was to fire", [at(one.due_ms), fromNow(one.due_ms, now())], when(one.due_ms)],
    ["Why", [one.last_answer, `${attemptsInWords(one.attempts)} and no 2xx within a day`]],
    ["Do", actions(one, row, ["fire", "cancel"], false), "act"],
  ];
}

function attemptCells(one) {
  const outcome = OUTCOMES[one.then];
  return [
    ["Outcome", label(outcome), `main state ${outcome[2]}`],
    ["Agent", agentOf(one), owner()],
    ["Job", one.job_id, "main job"],
    ["Attempt", String(one.number)],
    ["Began", [at(one.began_ms), ["for ", at(one.due_ms)]], when(one.began_ms, one.due_ms)],
    ["Late", span(one.late_ms), "when"],
    ["Took", span(one.ended_ms - one.began_ms), "when"],
    ["Answer", [one.answer, one.next_ms === null ? "" : ["next ", at(one.next_ms)]]],
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
  // What is told of an earlier question's end may come after this one's: each answer counts once.
  dialog.onclose = () => {
    const sure = dialog.returnValue === "yes";
    dialog.returnValue = "";
    if (sure) change(name, one);
  };
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
  const { offset, page, of, more, rows } = told[name];
  const nav = id(`${name}-pager`);
  const [back, which, on, last] = nav.children;
  id(`${name}-none`).hidden = rows.length > 0;
  nav.hidden = !more && !offset;
  which.textContent = `${number(offset + 1)} to ${number(offset + rows.length)}${of === null ? "" : ` of ${number(of)}`}`;
  back.disabled = offset === 0;
  on.disabled = !more;
  if (last) last.disabled = !more || of === null;
  if (!rows.length && offset) turn(name, lastOf(told[name]) < offset ? lastOf(told[name]) : 0); // what was there is gone
}

// Where the last page begins; the first where it is not known.
const lastOf = ({ of, page }) => (of ? Math.floor((of - 1) / page) * page : 0);

function turn(name, offset) {
  wanted[name] = Math.max(0, offset);
  history.replaceState(null, "", `?${question([...FILTERS, ...TABLES])}`);
  look();
}

for (const name of TABLES) {
  const [back, , on, last] = id(`${name}-pager`).children;
  back.addEventListener("click", () => turn(name, wanted[name] - told[name].page));
  on.addEventListener("click", () => turn(name, wanted[name] + told[name].page));
  last?.addEventListener("click", () => turn(name, lastOf(told[name])));
}

// What is wanted stands in the address, so that it can be kept and sent.
for (const [name, value] of new URLSearchParams(location.search)) {
  if (name in wanted && value) wanted[name] = TABLES.includes(name) ? Math.min(/^\d+$/.test(value) ? Number(value) : 0, MOST) : value;
}
for (const name of FILTERS) id(name).value = wanted[name];
useZone(id("zone").value);
id("zone").options[0].textContent = `local (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
id("whose").hidden = !wanted.agent;
id("whose").firstElementChild.textContent = `Agent ${wanted.agent}`;
if (wanted.agent) document.title = `${wanted.agent} · nas-server`;
for (const name of ["hours", "zone"]) id(name).addEventListener("change", () => id("filter").requestSubmit());
if (matchMedia("(max-width: 56rem)").matches) {
  for (const each of document.querySelectorAll("section:not(#armed):not(#lateness) > details")) each.open = false;
}
document.addEventListener("visibilitychange", () => document.hidden || look());
look();
