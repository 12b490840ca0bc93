"""To and from the types of other libraries; each module imports its library when it is used."""
