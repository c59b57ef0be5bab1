"""Scoring: a dataset and a submission go in, a measured result with honest error bars comes out.

Where to look first:

* ``protocol``  what a submission has to implement (``Encoder``, ``Inverter`` or ``Learner``);
* ``score``     ``score_submission`` trains, predicts and scores a submission;
* ``result``    the result file that the leaderboard reads.

Nothing is imported here, so that reading a result file never loads a deep-learning library.
"""
