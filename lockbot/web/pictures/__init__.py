"""Pictures in a page: SVG made of values, with the style sheet's classes alone.

    drawing     what pictures are made of: numbers, shapes, the frame with its text alternative
    scales      which marks an axis has
    timeline    how many runs ended how, by day
    plot        sizes over time: with axes, or small beside a name
    phases      how long each part of a run took

Colour is never the only thing that tells: shapes differ, too, and the page has the values as text. Nothing here
knows where the values come from; texts in them are anybody's, and escaped.
"""
