"""`lockbot web`: pages to look at, in a process of its own that only reads.

    page          what a page is: a title, a template, and the document that is also its JSON
    view          one repository, as a request sees it
    remembered    what was found out a moment ago, and need not be asked again
    live          what a run is doing, from the file of its events
    pages/        what each page tells: its document
    pictures/     SVG made of values
    logs/         a log's colours, and its lines as HTML
    templates/    how a document is shown; one style sheet for all
    rendering     the templates' filters, and what makes a stranger's text harmless
    addresses     a request's first line → what it asks for
    routes        which address shows what
    sites         the repositories that are shown, from their configurations
    guards        what is refused before anybody looks at what is asked
    application   from a request to its answer, in threads that do not hold up each other
    answers       what stands in every response
    sockets       where it listens
    server        uvicorn around it all

Each page is a function from a View and the query to a Page. Its template shows the document and nothing else, so
that whoever asks for `.json` gets all that stands there. Texts in documents are as they came: templates escape.
"""
