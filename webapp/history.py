"""The browser's history: an entry for each page that was opened, so that Back leads to the last.

Streamlit adds one whenever an address gains or loses a value on the way to a page, and Back would
lead through settings that nobody chose: a model without the machine that it was asked for.
"""

from __future__ import annotations

import streamlit as st

__all__ = ["one_entry_a_page"]


def one_entry_a_page() -> None:
    """Have the browser keep one entry for each page that is opened; the script is all ours.

    An entry of the same page takes the place of the last one. The settings of the next page may
    come before its own entry is made: the page that is left keeps those that it had at the click.
    """
    st.html(
        """
<script>
if (!window.whatfitsHistory) {
  window.whatfitsHistory = true;
  const push = history.pushState.bind(history);
  let left = location.href;
  document.addEventListener("click", () => { left = location.href; }, true);
  history.pushState = (state, unused, to) => {
    if (new URL(to, location.href).pathname === location.pathname) {
      history.replaceState(state, unused, to);
      return;
    }
    if (new URL(left).pathname === location.pathname) {
      history.replaceState(history.state, unused, left);
    }
    push(state, unused, to);
  };
}
</script>
""",
        unsafe_allow_javascript=True,
    )
