// Looks at a page as somebody does who sees badly, or does not see at all.

({
  // Texts with less contrast than WCAG 2 asks for (AA, 4.5).
  faint: () => {
    const parse = (text) => text.match(/[\d.]+/g).map(Number);
    const light = (rgb) =>
      rgb
        .map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (node) => {
      for (; node; node = node.parentElement) {
        const [r, g, b, alpha = 1] = parse(getComputedStyle(node).backgroundColor);
        if (alpha) return [r, g, b];
      }
      throw new Error("nothing has a background");
    };
    const found = [];
    for (const node of document.querySelectorAll("main *, header *")) {
      const speaks = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      if (!speaks || !node.checkVisibility()) continue;
      const [r, g, b] = parse(getComputedStyle(node).color);
      const [one, other] = [light([r, g, b]), light(ground(node))];
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${node.tagName} ${node.textContent}`);
    }
    return found;
  },
  // Texts that stick out of their place, or headings of columns into the page.
  squeezed: () =>
    [...document.querySelectorAll(".counts div, tbody td, td button, .pager button")]
      .filter((node) => node.scrollWidth > node.clientWidth + 1)
      .concat(
        [...document.querySelectorAll("thead")].filter(
          (node) =>
            getComputedStyle(node).position === "absolute" &&
            node.getBoundingClientRect().right > 0,
        ),
      )
      .map((node) => node.textContent.trim()),
  // What can be used or jumped to and has no name.
  nameless: () =>
    [...document.querySelectorAll("button, input, select, table, section, nav")]
      .filter((node) => node.checkVisibility())
      .filter(
        (node) =>
          !node.getAttribute("aria-label") &&
          !node.getAttribute("aria-labelledby") &&
          !node.labels?.length &&
          !node.caption &&
          !(node.tagName === "BUTTON" && node.textContent.trim()),
      )
      .map((node) => node.outerHTML.slice(0, 80)),
});
