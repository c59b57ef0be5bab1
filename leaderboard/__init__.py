"""Result files go in, boards with rank sets and a static site come out.

Where to look first:

* ``entries``  reads and checks result files and sorts them onto boards that may be compared;
* ``ranks``    rank sets from paired tests;
* ``site``     ``build_site`` writes the pages.
"""
