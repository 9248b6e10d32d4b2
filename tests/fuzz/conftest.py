def pytest_addoption(parser):
    parser.addoption("--cases", type=int, default=0, help="also so many random cases, counted by layout and outcome")
    parser.addoption("--fuzz-seed", type=int, default=0, help="other cases")
