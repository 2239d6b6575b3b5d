"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const get = (id) => document.getElementById(id);

function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, label]) => new Option(label, value, false, value === chosen)));
}

// numbers

function text(measure, value, sign) {
  const digits = measure.digits === null ? String(Number(value.toPrecision(3))) : value.toFixed(measure.digits);
  return sign && value > 0 ? `+${digits}` : digits;
}

function numbers(measure, [mean, low, high], sign) {
  const nodes = [element("b", "", text(measure, mean, sign))];
  if (low !== null) nodes.push(element("small", "", `${text(measure, low, sign)} to ${text(measure, high, sign)}`));
  return nodes;
}

// the measure that all tables show

function measureNow() {
  const same = data.measures.filter((measure) => measure.kind === get("kind").value);
  return same.find((measure) => measure.form === get("form").value) || same[0];
}

// tables: a head in which unseen systems are set apart, then a line for each model; columns: {name, seen}, of which
// seen is undefined for those that are no system

const everyRow = data.rows.map((_, row) => row);

function groupsOf(columns) {
  const groups = element("tr", "", element("th", ""));
  for (const [seen, label] of [[true, "seen in training"], [false, "unseen"]]) {
    const group = element("th", seen ? "group" : "group apart", label);
    group.colSpan = columns.filter((column) => column.seen === seen).length;
    group.scope = "colgroup";
    if (columns.some((column) => column.seen === seen)) groups.append(group);
  }
  return groups;
}

function draw(table, columns, rows, cellOf) {
  const apart = columns.map((column, place) => place > 0 && data.apart && column.seen !== columns[place - 1].seen);
  const names = element("tr", "", element("th", "", "model"));
  columns.forEach((column, place) => names.append(element("th", apart[place] ? "apart" : "", column.name)));
  for (const name of names.children) name.scope = "col";
  const head = element("thead", "", ...(data.apart ? [groupsOf(columns)] : []), names);
  const body = element("tbody", "");
  for (const row of rows) {
    const about = data.rows[row];
    const name = element("th", "", about.name);
    name.scope = "row";
    if (about.trainedOn.length) name.append(element("small", "", `trained on ${about.trainedOn.join(", ")}`));
    const line = element("tr", "", name);
    columns.forEach((_, column) => {
      const cell = cellOf(row, column) || element("td", "");
      if (apart[column]) cell.classList.add("apart");
      line.append(cell);
    });
    body.append(line);
  }
  table.replaceChildren(head, body);
}

// the matrix as a heat map, light where a value is good

function shade(share) {
  const place = share * (data.colours.length - 1);
  const [low, high] = [Math.floor(place), Math.ceil(place)].map((stop) => data.colours[stop]);
  const channel = (start) => {
    const [one, other] = [low, high].map((colour) => parseInt(colour.slice(start, start + 2), 16));
    return one + (other - one) * (place % 1);
  };
  const linear = (value) => (value <= 10 ? value / 3295 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const [red, green, blue] = [channel(1), channel(3), channel(5)];
  const luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  return { background: `rgb(${red} ${green} ${blue})`, color: luminance > 0.18 ? "#000" : "#fff" };
}

function drawMatrix(measure) {
  const cells = data.cells[measure.name];
  const means = cells.flatMap((line) => line.slice(0, -1)).filter(Boolean).map((cell) => cell[0]);
  const [least, most] = [Math.min(...means), Math.max(...means)];
  const bend = least > 0 && most / least > 10 ? Math.log : Number;
  const share = (value) => {
    const place = most > least ? (bend(value) - bend(least)) / (bend(most) - bend(least)) : 0.5;
    return Math.min(Math.max(measure.higher ? place : 1 - place, 0), 1);
  };
  const columns = data.columns.concat([{ name: data.apart ? "mean over systems not trained on" : "mean" }]);
  const best = columns.map((column, place) => {
    if (column.seen === undefined && data.apart) return null; // its means are over different systems
    const values = cells.map((line) => line[place]).filter(Boolean).map((cell) => cell[0]);
    return measure.higher ? Math.max(...values) : Math.min(...values);
  });
  draw(get("matrix"), columns, everyRow, (row, column) => {
    const cell = cells[row][column];
    if (!cell) return null;
    const node = element("td", "", ...numbers(measure, cell, false));
    const known = column < data.columns.length && data.known[row][column];
    if (known) {
      node.classList.add("known");
      node.prepend("◆ ");
      node.title = "this model was trained on this system";
    }
    if (cell[0] === best[column]) node.classList.add("best");
    if (column < data.columns.length && cell[3] < data.columns[column].images) {
      node.append(element("small", "", `${cell[3]} of ${data.columns[column].images} images`));
    }
    if (column < data.columns.length) Object.assign(node.style, shade(share(cell[0])));
    return node;
  });
  const [from, bar, to] = get("scale").children;
  [from.textContent, to.textContent] = (measure.higher ? [least, most] : [most, least]).map((value) => text(measure, value));
  bar.style.background = `linear-gradient(90deg, ${data.colours.join(", ")})`;
}

// differences of two models: stored once for each pair

function difference(measure, one, other, column) {
  if (one === other) return null;
  const found = one > other ? data.pairs[measure.name][one][other][column] : data.pairs[measure.name][other][one][column];
  if (!found || one > other) return found;
  const [mean, low, high, better, worse, p, certain] = found;
  return [-mean, low === null ? null : -high, low === null ? null : -low, worse, better, p, certain];
}

function differenceCell(measure, found, sign, more) {
  if (!found) return null;
  const node = element("td", "", ...numbers(measure, found, true), ...more(found));
  if (found[6]) {
    const better = sign * found[0] > 0 === measure.higher;
    node.classList.add(better ? "better" : "worse");
    node.prepend(better ? "▲ " : "▼ ");
  }
  return node;
}

function drawGap(measure) {
  const places = data.columns.map((_, place) => place).filter((place) => data.columns[place].specialist !== null);
  draw(get("gap"), places.map((place) => data.columns[place]), everyRow, (row, column) => {
    const found = difference(measure, data.columns[places[column]].specialist, row, places[column]);
    return differenceCell(measure, found, -1, () => []);
  });
}

function drawDifferences(measure) {
  const reference = Number(get("reference").value);
  const chance = (p) => (p < 0.001 ? p.toExponential(0) : p.toPrecision(2));
  const counts = ([, , , better, worse, p]) => [element("small", "", `${better} : ${worse}, p ${chance(p)}`)];
  const columns = data.columns.concat([{ name: "all systems" }]);
  draw(get("difference"), columns, everyRow.filter((row) => row !== reference), (row, column) => {
    return differenceCell(measure, difference(measure, row, reference, column), 1, counts);
  });
}

function drawTables() {
  const measure = measureNow();
  get("form").disabled = measure.form === null;
  get("direction").textContent = measure.higher ? "higher is better" : "lower is better";
  drawMatrix(measure);
  get("gaps").hidden = !measure.compared || data.columns.every((column) => column.specialist === null);
  get("differences").hidden = !measure.compared || data.rows.length < 2;
  if (!get("gaps").hidden) drawGap(measure);
  if (!get("differences").hidden) drawDifferences(measure);
  for (const figure of document.querySelectorAll(".figure")) figure.hidden = figure.dataset.measure !== measure.name;
  if (data.album.length) drawPictures();
}

// two pictures of one image, one over the other up to where the slider is

function pageNow() {
  const pages = data.album.filter((page) => page.system === get("system").value);
  return pages.find((page) => String(page.image) === get("image").value) || pages[0];
}

function choosePage() {
  const page = pageNow();
  const images = data.album.filter((other) => other.system === page.system).map((other) => String(other.image));
  fill(get("image"), images.map((image) => [image, image]), String(page.image));
  const names = Object.keys(page.pictures);
  for (const [side, wish] of [["left", names[2]], ["right", data.rows[data.reference].name]]) {
    const select = get(side);
    const chosen = [select.value, wish].find((name) => names.includes(name)) || names.at(-1);
    fill(select, names.map((name) => [name, name]), chosen);
  }
  drawPictures();
}

function drawPictures() {
  const page = pageNow();
  const measure = measureNow();
  for (const side of ["left", "right"]) {
    const name = get(side).value;
    const score = page.scores[measure.name][name];
    const caption = score === undefined ? name : `${name}: ${measure.title} ${text(measure, score)}`;
    get(`${side}-picture`).src = page.pictures[name];
    get(`${side}-picture`).alt = `${name}, image ${page.image} of ${page.system}`;
    get(`${side}-caption`).textContent = caption;
  }
}

get("left-picture").addEventListener("load", (event) => {
  const picture = event.target;
  get("stack").style.setProperty("--ratio", `${picture.naturalWidth} / ${picture.naturalHeight}`);
});
get("slider").addEventListener("input", (event) => get("stack").style.setProperty("--cut", `${event.target.value}%`));

// the page as it opens

const chosen = data.measures.find((measure) => measure.name === data.measure) || data.measures[0];
const kinds = new Map(data.measures.map((measure) => [measure.kind, measure.title]));
fill(get("kind"), [...kinds], chosen.kind);
if (chosen.form) get("form").value = chosen.form;
fill(get("reference"), data.rows.map((row, place) => [String(place), row.name]), String(data.reference));
get("trained-note").hidden = !data.apart;
get("sweeps").hidden = !document.querySelector(".figure");
get("album").hidden = !data.album.length;
for (const id of ["kind", "form"]) get(id).addEventListener("change", drawTables);
get("reference").addEventListener("change", () => drawDifferences(measureNow()));
for (const id of ["system", "image"]) get(id).addEventListener("change", choosePage);
for (const id of ["left", "right"]) get(id).addEventListener("change", drawPictures);
if (data.album.length) {
  const systems = [...new Set(data.album.map((page) => page.system))];
  fill(get("system"), systems.map((system) => [system, system]), systems[0]);
  choosePage();
}
drawTables();
