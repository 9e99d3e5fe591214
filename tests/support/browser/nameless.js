// What can be activated or shows a picture and has no name that is read aloud.
() => {
  const named = 'button, a[href], input, select, video, img, [role=group], summary, nav, section';
  const name = (element) => {
    const by = element.getAttribute('aria-labelledby');
    return by ? document.getElementById(by)?.textContent : element.getAttribute('aria-label') || element.textContent;
  };
  const nameless = (element) => element.tagName === 'IMG' ? !element.hasAttribute('alt') : !(name(element) || '').trim();
  return [...document.querySelectorAll(named)].filter(nameless).map((element) => element.outerHTML.slice(0, 120));
}
