"""A page in a real browser, with everything it complained about and everything it asked for."""

HOSTILE = "<script>document.title='owned'</script>"


class Visit:
    """A page with everything it complained about and everything it asked for."""

    def __init__(self, browser, path, width=1440, scheme="light", **context):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **context
        )
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda m: self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(path.as_uri())

    def column(self, index):
        return self.page.locator(f".board tr[data-entry] > :nth-child({index + 1})").all()

    def keys(self, index):
        """Return the sort keys of a column, row by row."""
        return self.page.evaluate(
            "(i) => [...document.querySelectorAll('.board tbody tr')]"
            ".map((row) => row.cells[i].dataset.sort)",
            index,
        )

    def names(self):
        return self.page.locator(".board tbody th > a").all_inner_texts()


def page_names(folder):
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.html"))]


def entry_of(folder, prefix):
    return next(n for n in page_names(folder) if n.startswith(f"entries/{prefix}-"))
