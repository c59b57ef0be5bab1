"""Result files go in; boards with verdicts, a static site and a submission flow come out.

The rooms, each importing only those before it:

* ``drawing``      numbers as text, charts as inline SVG;
* ``ledger``       the signed, append-only record of how far a result was checked;
* ``board``        reads and checks result files, sorts them onto boards, ranks them;
* ``exports``      tables, figures, badges, records for other collections;
* ``site``         ``build_site`` writes the pages;
* ``submissions``  a submission as a sealed folder, and its review on trusted code;
* ``seasons``      private seasons with secret combinations, and their audit.
"""
