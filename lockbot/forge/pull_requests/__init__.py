"""Pull requests on forges, looked at and changed: one module for each forge. GitLab's merge requests are, too."""
