"use strict";

// A table that is too wide scrolls in a box that the theme puts around it; so a keyboard has to reach that box.
document$.subscribe(() => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
    box.tabIndex = 0;
  }
});
