"""How nbgrader finds the labs: see labs/README.md."""
c = get_config()  # noqa: F821 (nbgrader defines it)
c.CourseDirectory.course_id = "scalable-web-systems"
c.CourseDirectory.source_directory = "labs"
c.ExecutePreprocessor.timeout = 60                # seconds for a cell
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError()"}
