"use strict";

// Sorting: a header's button sorts by its column, and the other way round the second time.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  for (const heading of headings) {
    heading.querySelector("button").addEventListener("click", () => {
      const wasAscending = heading.getAttribute("aria-sort") === "ascending";
      const direction = wasAscending ? -1 : 1;
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", wasAscending ? "descending" : "ascending");
      const column = heading.cellIndex;
      const numbers = heading.dataset.key === "number";
      const value = (row) => row.cells[column].dataset.value;
      const compare = numbers
        ? (a, b) => Number(value(a)) - Number(value(b))
        : (a, b) => value(a).localeCompare(value(b), "en", { numeric: true });
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => direction * compare(a, b)));
    });
  }
}

// Filtering by a part of the sequence's name.
for (const input of document.querySelectorAll(".filter input")) {
  input.parentElement.hidden = false;
  const body = document.getElementById(input.dataset.table).tBodies[0];
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of body.rows) {
      row.hidden = !row.cells[0].dataset.value.toLowerCase().includes(wanted);
    }
  });
}

// Charts: the values under the pointer take the place of the legend's figures.
for (const figure of document.querySelectorAll("figure.chart")) {
  const svg = figure.querySelector("svg");
  const cursor = figure.querySelector(".cursor");
  const caption = figure.querySelector("figcaption");
  const outputs = [...figure.querySelectorAll("output")];
  const title = caption.textContent;
  const scores = outputs.map((output) => output.textContent);
  const list = (text) => text.split(" ").map(Number);
  const thresholds = list(svg.dataset.thresholds);
  // Lines are drawn the best last, the legend names the best first.
  const lines = [...figure.querySelectorAll("polyline")].reverse();
  const values = lines.map((line) => list(line.dataset.values));
  const [left, width] = [34, 298];
  svg.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(
      svg.getScreenCTM().inverse(),
    );
    const share = Math.min(Math.max((at.x - left) / width, 0), 1);
    const index = Math.round(share * (thresholds.length - 1));
    cursor.removeAttribute("hidden");
    cursor.setAttribute("d", `M${left + (width * index) / (thresholds.length - 1)} 10V188`);
    caption.textContent = `${title} at ${thresholds[index]}`;
    outputs.forEach((output, run) => (output.textContent = values[run][index].toFixed(1)));
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("hidden", "");
    caption.textContent = title;
    outputs.forEach((output, run) => (output.textContent = scores[run]));
  });
}

// Frames: a click enlarges one; Escape, the cross or a click closes it.
const dialog = document.querySelector("dialog.large");
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    dialog.querySelector("div").replaceChildren(button.querySelector("svg").cloneNode(true));
    const strip = button.closest(".strip").querySelector("header").innerText.replaceAll("\n", "  ");
    const caption = button.parentElement.querySelector("figcaption").textContent;
    dialog.querySelector("p").textContent = `${strip}: ${caption}`;
    dialog.showModal();
  });
}
dialog.querySelector("div").addEventListener("click", () => dialog.close());
