"""Result files go in; boards with rank sets, a static site and a submission flow come out.

Where to look first:

* ``entries``  reads and checks result files and sorts them onto boards that may be compared;
* ``ranks``    rank sets from paired tests, within one track;
* ``site``     ``build_site`` writes the pages that ``pages`` makes;
* ``bundle``   a submission as a sealed folder; ``intake`` scores it again on trusted code;
* ``season``   private seasons with secret combinations; ``audit`` checks them afterwards;
"""
