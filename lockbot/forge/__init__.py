"""Forges: what GitHub, GitLab, Forgejo and Gitea say about commits. The only HTTP of lockbot's own."""
