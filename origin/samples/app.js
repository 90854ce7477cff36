// Shows what the CDN said about this page: Server-Timing is the one such header that a page may read about itself.
const [page] = performance.getEntriesByType("navigation");
const tiers = page.serverTiming.map((t) => `${t.name} ${t.description} ${t.duration.toFixed(1)} ms`);
if (tiers.length > 0) {
  const seen = document.querySelector("#seen");
  seen.textContent = `This page: ${tiers.join(" · ")}; ${(page.responseStart - page.requestStart).toFixed(1)} ms to its first byte.`;
  seen.hidden = false;
}
