// Every text of the page with its contrast to what is seen behind it, as WCAG 2 compares them.
() => {
  const read = text => (text.match(/[\d.]+/g) || []).map(Number);
  const behind = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = read(getComputedStyle(at).backgroundColor);
      if (a > 0) layers.push([r, g, b, a]);
      if (a === 1) break;
    }
    return layers.reverse().reduce(
      (below, [r, g, b, a]) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a)),
      [255, 255, 255]);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255).map(
      c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const found = [];
  const main = document.querySelector('[data-testid="stMain"]');
  const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility()) continue;
    // the value above a slider is a child of the knob below it
    if (element.closest('[data-testid="stSliderThumbValue"]')) continue;
    if (element.closest('svg, style, [disabled]')) continue;
    if (element.closest('[data-testid="stIconMaterial"], [aria-disabled="true"]')) continue;
    const style = getComputedStyle(element);
    const below = behind(element);
    const [r, g, b, a = 1] = read(style.color);
    const ink = [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
    const [low, high] = [light(ink), light(below)].sort((x, y) => x - y);
    found.push([text.slice(0, 60), (high + 0.05) / (low + 0.05)]);
  }
  return found;
}
