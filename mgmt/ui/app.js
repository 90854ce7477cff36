import { Chart } from "./chart.js";
import { get, notice, on, start } from "./live.js";
import * as map from "./map.js";
import * as tree from "./tree.js";
import { bits, count, make, millis, percent, set } from "./text.js";

const $ = id => document.getElementById(id);
const figure = name => document.querySelector(`[data-figure="${name}"]`);
const clock = at => new Date(at * 1000).toLocaleTimeString([], { hour12: false });

// Pages.
const pages = ["map", "traffic", "cache", "distribution", "dns"];
let page = "";
function show() {
  const wanted = location.hash.slice(1).split("?")[0];
  page = pages.includes(wanted) ? wanted : "map";
  for (const p of pages) $("page-" + p).hidden = p !== page;
  for (const a of document.querySelectorAll("nav a")) a.hash === "#" + page ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
  document.title = page[0].toUpperCase() + page.slice(1) + " · cdnlab";
  if (page === "traffic") loadTraffic();
  if (page === "cache") loadCache();
  tree.show(page === "distribution");
  if (page === "dns" && !$("dns-answer").firstChild) ask();
}
addEventListener("hashchange", show);
$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  document.dispatchEvent(new Event("themechange"));
});

on("state", state => {
  $("connection").className = state;
  set($("connection"), state === "live" ? "live" : "no connection to the lab");
});

// Totals and the map.
on("tick", tick => {
  const edge = tick.tiers.find(t => t.role === "edge") || {};
  set(figure("edge.rps"), count(edge.rps));
  set(figure("edge.hit"), percent(edge.hit));
  set(figure("offload"), percent(tick.offload));
  set(figure("edge.p99"), millis(edge.p99));
  set(figure("edge.bps"), bits(edge.bps));
  set(figure("dns.qps"), count(tick.dns.qps));
  set(figure("nodes.up"), `${tick.nodes.filter(n => n.up).length}/${tick.nodes.length}`);
  map.update(tick);
  addTraffic(tick);
  addCache(tick);
  showPoPs(tick);
});

on("event", e => {
  const list = $("events");
  list.querySelector(".none")?.remove();
  list.prepend(make("li", { class: e.kind }, make("time", {}, clock(e.at)), e.text));
  while (list.children.length > 100) list.lastChild.remove();
});

// Traffic.
const traffic = {};
let trafficLoaded = "";
function makeTraffic() {
  const at = $("traffic-charts");
  traffic.rps = new Chart(at, "Requests per second", ["requests"], count);
  traffic.bps = new Chart(at, "Bandwidth of responses", ["bandwidth"], bits);
  traffic.latency = new Chart(at, "Time to first byte", ["p50", "p90", "p99"], millis);
  traffic.status = new Chart(at, "Responses per second by status", ["2xx", "3xx", "4xx", "5xx"], count);
}
async function loadTraffic() {
  const of = $("traffic-of").value, window = +$("traffic-window").value;
  if (!of || trafficLoaded === of + window) return;
  trafficLoaded = of + window;
  if (!traffic.rps) makeTraffic();
  try {
    const s = await get(`/api/v1/series?of=${encodeURIComponent(of)}&window=${window}`);
    traffic.rps.fill(s.at, [s.rps], window);
    traffic.bps.fill(s.at, [s.bps], window);
    traffic.latency.fill(s.at, [s.p50, s.p90, s.p99], window);
    traffic.status.fill(s.at, ["2xx", "3xx", "4xx", "5xx"].map(c => s.status[c]), window);
  } catch (e) { notice(e.message); }
}
function addTraffic(tick) {
  if (!traffic.rps) return;
  const of = $("traffic-of").value;
  const r = tick.tiers.find(t => t.role === of) || tick.nodes.find(n => n.name === of);
  if (!r) return;
  const status = r.status || {};
  traffic.rps.add(tick.at, [r.rps]);
  traffic.bps.add(tick.at, [r.bps]);
  traffic.latency.add(tick.at, [r.p50, r.p90, r.p99]);
  traffic.status.add(tick.at, ["2xx", "3xx", "4xx", "5xx"].map(c => status[c] || 0));
}
for (const id of ["traffic-of", "traffic-window"]) $(id).addEventListener("change", loadTraffic);

// Cache.
let cacheChart = null;
const cards = new Map(), cacheRows = new Map();
function meter(card, name, key, kind) {
  const bar = make("i"), value = make("b", { "data-figure": key });
  card.append(make("div", { class: "meter" }, name, make("span", { class: "track " + kind }, bar), value));
  return { bar, value };
}
async function loadCache() {
  if (cacheChart) return;
  cacheChart = new Chart($("cache-charts"), "Hit ratio", ["edges", "hubs"], percent);
  try {
    const [edge, hub] = await Promise.all([get("/api/v1/series?of=edge&window=300"), get("/api/v1/series?of=hub&window=300").catch(() => ({ at: [], hit: [] }))]);
    const byTime = new Map(hub.at.map((t, i) => [t, hub.hit[i]]));
    cacheChart.fill(edge.at, [edge.hit, edge.at.map(t => byTime.get(t) ?? null)], 300);
  } catch (e) { notice(e.message); }
}
function setMeter(m, v) {
  set(m.value, percent(v));
  m.bar.style.width = ((v || 0) * 100).toFixed(1) + "%";
}
function addCache(tick) {
  for (const t of tick.tiers.filter(t => t.role === "edge" || t.role === "hub")) {
    if (!cards.has(t.role)) {
      const card = make("div", { class: "card" }, make("h3", {}, t.role + "s"));
      cards.set(t.role, { hit: meter(card, "Hit ratio", `cache.${t.role}.hit`, t.role), byteHit: meter(card, "Byte hit ratio", `cache.${t.role}.byte_hit`, t.role), fill: meter(card, "Fill", `cache.${t.role}.fill`, "fill") });
      $("cache-tiers").append(card);
    }
    const c = cards.get(t.role);
    setMeter(c.hit, t.hit);
    setMeter(c.byteHit, t.byte_hit);
    setMeter(c.fill, t.fill);
  }
  const edge = tick.tiers.find(t => t.role === "edge"), hub = tick.tiers.find(t => t.role === "hub");
  if (cacheChart) cacheChart.add(tick.at, [edge?.hit ?? null, hub?.hit ?? null]);
  if (page !== "cache") return;
  for (const n of tick.nodes.filter(n => n.role === "edge" || n.role === "hub")) {
    let row = cacheRows.get(n.name);
    if (!row) {
      row = [0, 1, 2, 3, 4, 5].map(() => make("td"));
      row[0].textContent = n.name;
      cacheRows.set(n.name, row);
      $("cache-nodes").tBodies[0].append(make("tr", { "data-cache-node": n.name }, ...row));
    }
    row[0].className = n.up ? "" : "down";
    [percent(n.hit), percent(n.byte_hit), percent(n.fill), count(n.objects), count(n.rps)].forEach((text, i) => set(row[i + 1], n.up ? text : "down"));
  }
  const body = $("cache-top").tBodies[0];
  tick.top.forEach((o, i) => {
    const row = body.rows[i] || body.appendChild(make("tr", {}, make("td"), make("td"), make("td")));
    [o.site + o.path, o.rps.toFixed(2), percent(o.hit)].forEach((text, j) => set(row.cells[j], text));
  });
  while (body.rows.length > tick.top.length) body.lastChild.remove();
}

// DNS.
async function ask(event) {
  event?.preventDefault();
  const place = $("dns-place").value, site = $("dns-site").value;
  if (!place) return;
  const answer = $("dns-answer");
  try {
    const path = $("dns-path").value.startsWith("/") ? $("dns-path").value : "/" + $("dns-path").value;
    const e = await get(`/api/v1/explain?from=${encodeURIComponent(place)}&url=${encodeURIComponent(`http://${site}${path}`)}`);
    answer.replaceChildren(decision(e), tiers(e));
  } catch (e) {
    answer.replaceChildren(make("p", {}, e.message));
  }
}
function decision(e) {
  const box = make("div", { class: "answer" }, make("h3", { "data-figure": "dns.winner" }, e.dns.winner || "the origin"), make("p", {}, e.dns.evidence));
  const longest = Math.max(...e.dns.candidates.map(c => c.rtt_ms), 1);
  for (const c of e.dns.candidates) {
    const bar = make("i");
    bar.style.width = (c.rtt_ms / longest * 100).toFixed(1) + "%";
    const win = c.pop === e.dns.winner;
    box.append(make("div", { class: win ? "candidate win" : "candidate" }, make("span", {}, c.pop), make("span", { class: "track " + (win ? "win" : "rtt") }, bar), make("span", {}, millis(c.rtt_ms)), make("span", {}, c.healthy ? `${Math.round(c.km)} km` : "not healthy")));
  }
  box.append(make("p", {}, "Answer: " + (e.dns.addresses || []).join(", ")));
  return box;
}
function tiers(e) {
  const box = make("div", { class: "answer" }, make("h3", {}, `HTTP ${e.status} in ${millis(e.total_ms)}`));
  const longest = Math.max(...e.tiers.map(t => t.ms), 1);
  for (const t of e.tiers) {
    const bar = make("i");
    bar.style.width = (t.ms / longest * 100).toFixed(1) + "%";
    box.append(make("div", { class: "candidate" }, make("span", {}, `${t.tier} ${t.node}`), make("span", { class: "track " + (t.tier === "edge" ? "win" : t.tier) }, bar), make("span", {}, millis(t.ms)), make("span", {}, t.result || "answered")));
  }
  return box;
}
$("dns-form").addEventListener("submit", ask);
$("dns-place").addEventListener("change", ask);
const popRows = new Map();
function showPoPs(tick) {
  if (page !== "dns") return;
  const most = Math.max(1, ...Object.values(tick.dns.pops));
  for (const name of Object.keys(tick.dns.pops)) {
    if (!popRows.has(name)) popRows.set(name, meter($("dns-pops"), name, "dns.pop." + name, "win"));
  }
  for (const [name, m] of popRows) {
    const n = tick.dns.pops[name] || 0;
    set(m.value, count(n));
    m.bar.style.width = (n / most * 100) + "%";
  }
}

// Start.
const topology = await get("/api/v1/topology");
set($("name"), topology.name);
map.drawNodes(topology);
map.drawLand();
tree.fillPlaces(topology);
const roles = [...new Set(topology.nodes.map(n => n.role))];
$("traffic-of").append(...["edge", "hub", "origin", "dns"].filter(r => roles.includes(r)).map(r => make("option", { value: r }, "all " + r + (r === "dns" ? "" : "s"))), ...topology.nodes.map(n => make("option", { value: n.name }, n.name)));
$("dns-place").append(...topology.places.map(p => make("option", { value: p.name }, p.at.city ? `${p.name} (${p.at.city})` : p.name)));
$("dns-site").append(...topology.sites.map(s => make("option", { value: s.host }, s.host)));
show();
start();
