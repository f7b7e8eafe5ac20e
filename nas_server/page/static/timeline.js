// The next hours: a row for each agent, with a bar for each part of the time that has fires.

import { element } from "./tables.js";
import { fromNow, hourOf, timeOf } from "./words.js";

const MOST = 100; // a bar of so many, or more, is as high as a row

export function draw(into, told, now, linkTo) {
  const hours = Math.round((told.to_ms - told.from_ms) / 3600000);
  const step = hours > 6 ? 4 : hours > 1 ? 1 : 0.25;
  const ticks = [];
  const stepMs = step * 3600000;
  for (let at = Math.ceil(told.from_ms / stepMs) * stepMs; at < told.to_ms; at += stepMs) ticks.push(at);
  const place = (ms) => (100 * (ms - told.from_ms)) / (told.to_ms - told.from_ms);
  const rows = element("div", undefined, { class: "agents", role: "list" });
  rows.append(scale(ticks, place));
  for (const agent of told.agents) rows.append(rowOf(agent, told, ticks, place, now, linkTo));
  if (into.contains(document.activeElement)) return; // a link of it has the focus
  into.replaceChildren(told.agents.length ? rows : element("p", "Nothing is armed for these hours.", { class: "hint" }));
}

function scale(ticks, place) {
  const row = element("div", undefined, { class: "hours", "aria-hidden": "true" });
  const track = element("div", undefined, { class: "scale" });
  for (const at of ticks) {
    if (place(at) > 93) continue;
    const tick = element("span", hourOf(at));
    tick.style.left = `${place(at)}%`;
    track.append(tick);
  }
  row.append(element("span"), track);
  return row;
}

function rowOf(agent, told, ticks, place, now, linkTo) {
  const row = element("div", undefined, { class: "agent", role: "listitem" });
  const who = element("div", undefined, { class: "who" });
  who.append(element("a", agent.agent, { href: linkTo(agent.agent) }));
  who.append(element("small", `${agent.armed} armed, the next ${fromNow(agent.next_ms, now, false)}`));
  const track = element("div", undefined, { class: "track", "aria-hidden": "true" });
  for (const at of ticks) {
    const line = element("b");
    line.style.left = `${place(at)}%`;
    track.append(line);
  }
  const width = 100 / told.bins;
  for (const [bin, count] of agent.bins) {
    const bar = element("i");
    const from = told.from_ms + ((told.to_ms - told.from_ms) * bin) / told.bins;
    bar.title = `${count} from ${timeOf(from, now)}`;
    bar.className = bin === 0 && agent.next_ms <= now ? "now" : "";
    bar.style.left = `${bin * width}%`;
    bar.style.width = `max(4px, ${width * 0.8}%)`;
    bar.style.height = `${30 + (70 * Math.log10(Math.min(count, MOST))) / Math.log10(MOST)}%`;
    track.append(bar);
  }
  row.append(who, track);
  return row;
}
