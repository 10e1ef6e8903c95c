def test_s(report):
    print((report/"report.md").read_text())
