"""`lockbot web`: pages to look at, in a process of its own that only reads.

    page        what a page is: a title, a template, and the document that is also its JSON
    view        one repository, as a request sees it
    pages/      what each page tells: its document
    templates/  how a document is shown; one style sheet for all
    rendering   the templates' filters, and what makes a stranger's text harmless
    routes      which address shows what

Each page is a function from a View and the query to a Page. Its template shows the document and nothing else, so
that whoever asks for `.json` gets all that stands there. Texts in documents are as they came: templates escape.
"""
