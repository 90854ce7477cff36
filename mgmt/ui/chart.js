// A chart of columns that grow by a value a second.
const palette = { dark: ["#4fd1a5", "#f5b050", "#7aa7ff", "#ff6f6f"], light: ["#0b8f63", "#b86a00", "#2b62d9", "#c9252d"] };

const clock = at => new Date(at * 1000).toLocaleTimeString([], { hour12: false });

export class Chart {
  constructor(parent, title, lines, value) {
    this.figure = document.createElement("figure");
    this.figure.setAttribute("role", "img");
    this.figure.setAttribute("aria-label", title);
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    this.figure.append(caption);
    parent.append(this.figure);
    this.lines = lines;
    this.value = value;
    this.data = [[], ...lines.map(() => [])];
    this.window = 300;
    this.draw();
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(this.figure);
    document.addEventListener("themechange", () => this.draw());
  }

  size() { return { width: Math.max(220, this.figure.clientWidth - 32), height: 210 }; }

  draw() {
    if (this.plot) this.plot.destroy();
    const dark = document.documentElement.dataset.theme !== "light";
    const colours = palette[dark ? "dark" : "light"];
    const axis = { stroke: dark ? "#8f9db3" : "#5b687b", grid: { stroke: dark ? "#222c3d" : "#e9edf0", width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    this.plot = new uPlot({
      ...this.size(), cursor: { drag: { x: false } },
      scales: { y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, space: 90, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800], values: (u, ticks) => ticks.map(clock) }, { ...axis, size: 82, values: (u, ticks) => ticks.map(this.value) }],
      series: [{ label: "time", value: (u, v) => v == null ? "–" : clock(v) }, ...this.lines.map((label, i) => ({ label, stroke: colours[i], width: 1.8, points: { show: false }, value: (u, v) => v == null ? "–" : this.value(v) }))],
    }, this.data, this.figure);
  }

  fill(at, columns, window) {
    this.window = window;
    this.data = [at.slice(), ...columns.map(c => (c || []).slice())];
    this.plot.setData(this.data);
  }

  add(at, values) {
    const times = this.data[0];
    if (times.length && at <= times[times.length - 1]) return;
    this.data.forEach((column, i) => {
      column.push(i ? values[i - 1] : at);
      if (column.length > this.window) column.shift();
    });
    if (this.figure.offsetParent) this.plot.setData(this.data);
  }
}
