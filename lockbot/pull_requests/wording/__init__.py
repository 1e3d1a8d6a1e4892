"""What pull requests say: title, body, and the one comment that tells the news. Pure."""
