"""The PSPs that Bezant speaks to, one folder each. Siblings know nothing of each other; `bezant.app` names them."""
