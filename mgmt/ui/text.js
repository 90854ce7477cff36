// How figures are written. null is where there was nothing to measure.
export const percent = v => v == null ? "–" : (v * 100).toFixed(v > 0.9995 || v === 0 ? 0 : 1) + " %";
export const count = v => v == null ? "–" : v >= 10000 ? (v / 1000).toFixed(1) + "k" : v >= 100 || Number.isInteger(v) ? v.toFixed(0) : v.toFixed(1);
export const millis = v => v == null ? "–" : v > 0 && v < 0.1 ? (v * 1000).toFixed(0) + " µs" : v >= 1000 ? (v / 1000).toFixed(2) + " s" : v >= 100 ? v.toFixed(0) + " ms" : v.toFixed(1) + " ms";
export function bits(bytesPerSecond) {
  if (bytesPerSecond == null) return "–";
  let v = bytesPerSecond * 8;
  for (const unit of ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]) {
    if (v < 1000 || unit === "Gbit/s") return (v >= 100 || v === 0 || unit === "bit/s" ? v.toFixed(0) : v.toFixed(1)) + " " + unit;
    v /= 1000;
  }
}
export const bytes = v => v >= 2 ** 30 ? (v / 2 ** 30).toFixed(1) + " GiB" : v >= 2 ** 20 ? (v / 2 ** 20).toFixed(1) + " MiB" : v >= 1024 ? (v / 1024).toFixed(1) + " KiB" : v + " B";
export const seconds = v => v >= 100 ? v.toFixed(0) + " s" : v.toFixed(1) + " s";
export function set(element, text) { if (element && element.textContent !== text) element.textContent = text; }
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
export function makeSVG(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
