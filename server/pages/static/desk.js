// Shows times in the time zone and in the manner of the browser.
"use strict";
(() => {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      time.title = time.textContent;
      time.textContent = format.format(moment);
    }
  };
  localize(document);
  new MutationObserver(() => localize(document)).observe(document.body, { childList: true, subtree: true });
})();
