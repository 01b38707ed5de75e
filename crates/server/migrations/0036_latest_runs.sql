-- The newest run of a stack that is not a preview is found in one step, however many previews there are.
CREATE INDEX runs_but_previews ON runs (stack_id, id) WHERE run_type <> 'PROPOSED';
