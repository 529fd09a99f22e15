// A grid of pictures: a click or Enter chooses one, arrows, Home and End move between them.
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector("#grid")
  const shown = JSON.stringify([data.size, data.items.map(item => item.id)])
  if (grid.shown !== shown) {
    const held = grid.contains(grid.getRootNode().activeElement)
    grid.replaceChildren(...data.items.map(item => tile(item, data.size)))
    grid.shown = shown
    if (held) grid.firstChild?.focus()
  }
  grid.setAttribute("aria-label", data.label)
  const chosen = new Set(data.chosen)
  const tiles = [...grid.children]
  for (const one of tiles) one.setAttribute("aria-pressed", chosen.has(one.dataset.id))
  const first = tiles.find(one => one.tabIndex === 0) ?? tiles.find(one => chosen.has(one.dataset.id)) ?? tiles[0]
  if (first) first.tabIndex = 0

  grid.onclick = event => {
    const one = event.target.closest(".tile")
    if (!one) return
    hold(tiles, one)
    setTriggerValue("chosen", one.dataset.id)
  }
  grid.onkeydown = event => {
    const from = tiles.indexOf(event.target.closest(".tile"))
    const to = from < 0 ? -1 : next(tiles, from, event.key)
    if (to < 0 || to >= tiles.length) return
    event.preventDefault()
    hold(tiles, tiles[to])
    tiles[to].focus()
  }
}

function tile(item, size) {
  const button = document.createElement("button")
  button.type = "button"
  button.className = item.pictures.length ? "tile" : "tile without"
  button.dataset.id = item.id
  button.tabIndex = -1
  button.setAttribute("aria-label", item.alt)
  button.title = item.alt
  for (const source of item.pictures) {
    const image = document.createElement("img")
    image.loading = "lazy"
    image.decoding = "async"
    image.alt = ""
    image.width = image.height = size
    image.onload = () => image.classList.toggle("tiny", image.naturalWidth * 2 <= size)
    image.src = source
    button.append(image)
  }
  if (!item.pictures.length) Object.assign(button.style, { width: `${size}px`, height: `${size}px` })
  const name = document.createElement("span")
  name.className = "name"
  name.style.maxWidth = `${Math.max(1, item.pictures.length) * (size + 4)}px`
  name.textContent = item.label
  button.append(name)
  return button
}

// One tile of the grid is in the order of the Tab key: the one that was used last.
function hold(tiles, one) {
  for (const other of tiles) other.tabIndex = other === one ? 0 : -1
}

// Up and Down go to the tile that stands nearest in the row above or below.
function next(tiles, from, key) {
  const flat = { ArrowRight: from + 1, ArrowLeft: from - 1, Home: 0, End: tiles.length - 1 }[key]
  if (flat !== undefined) return flat
  if (key !== "ArrowUp" && key !== "ArrowDown") return -1
  const step = key === "ArrowDown" ? 1 : -1
  const here = tiles[from]
  let best = -1
  for (let at = from + step; at >= 0 && at < tiles.length; at += step) {
    const row = tiles[at].offsetTop
    if (row === here.offsetTop) continue
    if (best >= 0 && row !== tiles[best].offsetTop) break
    const gap = Math.abs(tiles[at].offsetLeft - here.offsetLeft)
    if (best < 0 || gap < Math.abs(tiles[best].offsetLeft - here.offsetLeft)) best = at
  }
  return best
}
