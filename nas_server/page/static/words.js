// Times, durations and states in words. Nothing here touches the page.

const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone;
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
let zone, clock, hour, day, whole;

export function useZone(name) {
  zone = name || LOCAL;
  const format = (parts) => new Intl.DateTimeFormat(undefined, { ...parts, timeZone: zone });
  clock = format(CLOCK);
  hour = format({ ...CLOCK, second: undefined });
  day = format({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
  whole = format({ dateStyle: "full", timeStyle: "long" });
}
useZone("");

export const zoneName = () => zone;

export const isFar = (ms, now) => day.format(ms) !== day.format(now);

// With the day and the year, unless it is today.
export function timeOf(ms, now) {
  return isFar(ms, now) ? `${day.format(ms)}, ${clock.format(ms)}` : clock.format(ms);
}

// What never stands in two lines, and says all of a time to whoever points at it.
export const time = (ms, text) => ({ ms, text, title: whole.format(ms) });

export const hourOf = (ms) => hour.format(ms);

export function span(ms, exact = true) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => s >= size);
  const [size, name] = units[first];
  const rest = units[first + 1];
  const whole = Math.floor(s / size);
  const more = rest && exact ? Math.floor((s - whole * size) / rest[0]) : 0;
  return more ? `${whole} ${name} ${more} ${rest[1]}` : `${whole} ${name}`;
}

export function fromNow(ms, now, exact = true) {
  if (ms > now) return `in ${span(ms - now, exact)}`;
  return ms > now - 1000 ? "now" : `${span(now - ms, exact)} ago`;
}

// A shape and a word for each state; colour says the same once more.
export const STATES = {
  armed: ["○", "armed", ""],
  due: ["◆", "due", "wait"],
  firing: ["▶", "firing", "wait"],
  retrying: ["↻", "retrying", "wait"],
  dead: ["✕", "dead", "bad"],
};

export const OUTCOMES = {
  done: ["✓", "delivered", "good"],
  "not run": ["–", "not run", "wait"],
  early: ["✓", "fired early", "good"],
  retry: ["↻", "failed", "wait"],
  dead: ["✕", "given up", "bad"],
  dropped: ["–", "no longer wanted", ""],
};

export function attemptsInWords(n) {
  return n === 1 ? "1 attempt" : `${n} attempts`;
}
