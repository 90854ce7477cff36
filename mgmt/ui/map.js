import { change, get } from "./live.js";
import { bits, count, make, makeSVG, millis, percent, set } from "./text.js";

const top = 78, bottom = -60, scale = 3;
const x = lon => (lon + 180) * scale;
const y = lat => (top - Math.max(bottom, Math.min(top, lat))) * scale;
const sections = { origin: "origins", hub: "hubs", edge: "edges" };

const groups = new Map(); // "edges.paris" → {element, at, servers, role, name}
const places = new Map(); // "clients.paris" → {at, name}
const flows = new Map();  // "from to" → {element, from, to, last}
let faults = [], selected = null, latest = null, hovered = null;

function put(element, name, value) { if (element.getAttribute(name) !== value) element.setAttribute(name, value); }

export async function drawLand() {
  const rings = await get("/ui/land.json");
  let path = "";
  for (const r of rings) {
    for (let i = 0; i < r.length; i += 2) {
      const edge = i > 0 && (Math.abs(r[i] - r[i - 2]) > 180 || Math.abs(r[i]) === 180 && Math.abs(r[i - 2]) === 180); // of the map: no shore
      path += (i === 0 || edge ? "M" : "L") + x(r[i]).toFixed(1) + " " + y(r[i + 1]).toFixed(1);
    }
  }
  document.getElementById("land").append(makeSVG("path", { d: path }));
}

export function drawNodes(topology) {
  for (const p of topology.places) {
    places.set("clients." + p.name, { at: p.at, name: p.name });
    const g = makeSVG("g", { class: "place" });
    g.append(makeSVG("circle", { cx: x(p.at.lon), cy: y(p.at.lat), r: 7.5 }));
    const title = makeSVG("title");
    title.textContent = "clients in " + p.name;
    g.append(title);
    document.getElementById("places").append(g);
  }
  const spots = new Map(); // what sits in the same spot moves aside
  for (const n of topology.nodes) {
    const section = sections[n.role];
    if (!section) continue;
    const key = section + "." + n.group;
    if (groups.has(key)) { groups.get(key).servers.push(n.name); continue; }
    const spot = n.at.lat.toFixed(0) + "," + n.at.lon.toFixed(0);
    const shift = spots.get(spot) || 0;
    spots.set(spot, shift + 1);
    const at = { x: x(n.at.lon) + shift * 11, y: y(n.at.lat) + shift * 5 };
    const element = makeSVG("g", { class: "node " + n.role, tabindex: 0, role: "button", transform: `translate(${at.x} ${at.y})`, "data-node": key });
    element.append(makeSVG("circle", { class: "halo", r: 8 }));
    element.append(n.role === "edge" ? makeSVG("circle", { class: "dot", r: 4.2 }) : makeSVG("rect", { class: "dot", x: -4.4, y: -4.4, width: 8.8, height: 8.8, rx: 1.6, transform: n.role === "hub" ? "rotate(45)" : "" }));
    const label = makeSVG("text", n.role === "edge" ? { x: 8, y: 3.4 } : { x: -7, y: n.role === "hub" ? -5 : 13, "text-anchor": "end" });
    label.textContent = n.group;
    element.append(label);
    element.addEventListener("click", () => select({ node: key }));
    element.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); select({ node: key }); } });
    document.getElementById("nodes").append(element);
    groups.set(key, { element, at, servers: [n.name], role: n.role, name: n.group, city: n.at.city });
  }
}

const pointOf = name => groups.get(name)?.at || (places.has(name) ? { x: x(places.get(name).at.lon), y: y(places.get(name).at.lat) } : null);

function flowOf(f) {
  const key = f.from + " " + f.to;
  let flow = flows.get(key);
  if (flow) return flow;
  const a = pointOf(f.to), b = pointOf(f.from); // drawn the way the answers go
  if (!a || !b) return null;
  const dx = b.x - a.x, dy = b.y - a.y, length = Math.hypot(dx, dy), bend = Math.min(46, length * 0.22);
  const d = length < 3 ? `M${a.x} ${a.y - 4}a9 9 0 1 1 ${b.x - a.x + 0.1} 0` : `M${a.x} ${a.y}Q${(a.x + b.x) / 2 - dy / length * bend * 0.4} ${(a.y + b.y) / 2 - bend} ${b.x} ${b.y}`;
  const element = makeSVG("path", { class: "flow moving quiet " + f.from.split(".")[0], d, tabindex: -1, "data-flow": key });
  const title = makeSVG("title");
  element.append(title);
  element.addEventListener("click", () => select({ link: [f.from, f.to] }));
  element.addEventListener("keydown", e => { if (e.key === "Enter") select({ link: [f.from, f.to] }); });
  document.getElementById("flows").append(element);
  element.addEventListener("pointerenter", () => { hovered = flow; set(title, element.getAttribute("aria-label")); });
  element.addEventListener("pointerleave", () => { hovered = null; });
  flow = { element, title, quiet: 0 };
  flows.set(key, flow);
  return flow;
}

export function update(tick) {
  latest = tick;
  faults = tick.faults;
  const byName = new Map(tick.nodes.map(n => [n.name, n]));
  for (const [key, g] of groups) {
    const servers = g.servers.map(s => byName.get(s)).filter(Boolean);
    const up = servers.filter(s => s.up), rps = up.reduce((sum, s) => sum + s.rps, 0);
    g.rps = rps;
    g.now = servers;
    const broken = faults.some(f => (f.nodes || []).some(n => g.servers.includes(n)));
    const classes = ["node", g.role, up.length === 0 ? "bad" : up.length < servers.length ? "part" : "", broken ? "fault" : ""].filter(Boolean).join(" ");
    put(g.element, "class", classes);
    put(g.element.firstChild, "r", (8 + Math.min(16, 3 * Math.log2(1 + rps))).toFixed(1));
    put(g.element, "aria-label", `${g.role} ${g.name}: ${up.length} of ${servers.length} up, ${count(rps)} requests per second`);
  }
  const seen = new Set();
  for (const f of tick.flows) {
    const flow = flowOf(f);
    if (!flow) continue;
    seen.add(f.from + " " + f.to);
    flow.quiet = 0;
    const width = Math.min(7, 1 + Math.log2(1 + f.rps) * 0.6);
    if (!(Math.abs(width - flow.width) < 0.25)) flow.element.style.strokeWidth = (flow.width = width).toFixed(2); // each change is half a second of frames to lay out and paint
    put(flow.element, "aria-label", `${f.from} → ${f.to}: ${count(f.rps)}/s, ${bits(f.bps)}, ${millis(f.ms)}`);
    if (flow === hovered) set(flow.title, flow.element.getAttribute("aria-label"));
    flow.last = f;
  }
  for (const [key, flow] of flows) {
    if (!seen.has(key)) flow.quiet++;
    const [from, to] = key.split(" ");
    const broken = faults.some(f => f.link && f.link.includes(from) && f.link.includes(to));
    flow.element.classList.toggle("quiet", flow.quiet > 2 && !broken);
    flow.element.classList.toggle("moving", flow.quiet === 0);
    flow.element.classList.toggle("fault", broken);
    put(flow.element, "tabindex", flow.quiet > 2 ? "-1" : "0");
  }
  if (selected) fillPanel();
}

function select(what) {
  selected = what;
  const panel = document.getElementById("panel");
  panel.hidden = false;
  buildPanel();
  panel.querySelector(".close").focus();
}

function buildPanel() {
  const panel = document.getElementById("panel");
  panel.replaceChildren();
  const close = make("button", { class: "close", type: "button", "aria-label": "Close" }, "×");
  close.addEventListener("click", () => { panel.hidden = true; selected = null; });
  const target = selected.node || selected.link.join(":");
  const title = selected.node ? selected.node.split(".").slice(1).join(".") : `${selected.link[0].split(".")[1]} → ${selected.link[1].split(".")[1]}`;
  panel.append(close, make("h3", {}, title), make("p", { id: "panel-what" }), make("table", { id: "panel-figures" }), make("div", { id: "panel-faults" }));
  const buttons = make("div", { class: "row", role: "group", "aria-label": "Break it for 30 seconds" });
  const offers = [["Down", { down: true }], ["+200 ms", { latency: "200ms" }], ["5 % loss", { loss: "5%" }], ["Reset", { reset: true }]];
  for (const [text, fault] of offers) {
    const b = make("button", { type: "button", "data-fault": text }, text);
    b.addEventListener("click", () => change("POST", "/api/v1/faults", { target, for: "30s", ...fault }));
    buttons.append(b);
  }
  panel.append(make("p", {}, "Break it for 30 s:"), buttons);
  fillPanel();
}

function fillPanel() {
  if (!latest) return;
  const rows = [];
  const what = document.getElementById("panel-what");
  if (selected.node) {
    const g = groups.get(selected.node);
    what.textContent = `${g.role}${g.city ? " in " + g.city : ""}, ${g.servers.length} server${g.servers.length > 1 ? "s" : ""}`;
    for (const s of g.now || []) rows.push([s.name, s.up ? `${count(s.rps)}/s · hit ${percent(s.hit)} · p99 ${millis(s.p99)}` : "down"]);
  } else {
    const f = flows.get(selected.link.join(" "))?.last;
    what.textContent = "link";
    if (f) rows.push(["requests", count(f.rps) + "/s"], ["volume", bits(f.bps)], ["first byte", millis(f.ms)]);
  }
  document.getElementById("panel-figures").replaceChildren(...rows.map(r => make("tr", {}, make("td", {}, r[0]), make("td", r[1] === "down" ? { class: "down" } : {}, r[1]))));
  const mine = faults.filter(f => selected.node ? (f.nodes || []).some(n => groups.get(selected.node).servers.includes(n)) : f.link && f.link.includes(selected.link[0]) && f.link.includes(selected.link[1]));
  const list = document.getElementById("panel-faults");
  const wanted = mine.map(f => f.id).join();
  if (list.dataset.ids === wanted) return;
  list.dataset.ids = wanted;
  list.replaceChildren(...mine.map(f => {
    const b = make("button", { type: "button", "data-mend": f.id }, "Mend");
    b.addEventListener("click", () => change("DELETE", "/api/v1/faults?id=" + encodeURIComponent(f.id)));
    const effects = [f.down && "down", f.reset && "reset", f.latency && "+" + f.latency, f.jitter && "jitter " + f.jitter, f.loss && f.loss + " loss", f.bandwidth, f.slow_disk && "disk +" + f.slow_disk].filter(Boolean).join(", ");
    return make("p", { class: "row" }, `${f.id}: ${effects} `, b);
  }));
}
