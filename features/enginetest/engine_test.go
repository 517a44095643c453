package enginetest_test

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"

	"pitboss/features"
	"pitboss/features/enginetest"
	"pitboss/features/states"
	"pitboss/journal"
)

func TestMain(m *testing.M) {
	enginetest.CrashChild(files())
	goleak.VerifyTestMain(m)
}

func scratch() features.States { return states.NewMemory() }

func memory() enginetest.Subject {
	return enginetest.Subject{
		Journal: func(testing.TB, string) journal.Journal { return journal.NewMemory(journal.MemoryConfig{}) },
		States:  func(testing.TB, string) features.States { return states.NewMemory() },
		Sides:   func(testing.TB, string) features.Sides { return states.NewMemorySides() },
		Scratch: scratch,
	}
}

func TestMemory(t *testing.T) { enginetest.Run(t, memory()) }

func TestInterleaveMemory(t *testing.T) { enginetest.RunInterleave(t, memory()) }

func files() enginetest.Subject {
	return enginetest.Subject{Journal: openJournal, States: openStates, Sides: openSides, Durable: true, Scratch: scratch}
}

func TestFiles(t *testing.T) { enginetest.Run(t, files()) }

func TestInterleaveFiles(t *testing.T) { enginetest.RunInterleave(t, files()) }

func TestCrash(t *testing.T) { enginetest.RunCrash(t, files()) }

func TestCrashBackfill(t *testing.T) { enginetest.RunCrashBackfill(t, files()) }

func openJournal(t testing.TB, dir string) journal.Journal {
	t.Helper()
	j, _, err := journal.OpenFile(journalConfig(dir))
	if err != nil {
		t.Fatalf("cannot open the journal: %v", err)
	}
	return j
}

func openSides(_ testing.TB, dir string) features.Sides {
	return states.Sides{Config: states.BadgerConfig{Dir: dir + "/backfill"}, Log: journalConfig(dir)}
}

func journalConfig(dir string) journal.Config {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = dir+"/journal", bytes.Repeat([]byte{7}, 32)
	return cfg
}

func openStates(t testing.TB, dir string) features.States {
	t.Helper()
	s, err := states.OpenBadger(states.BadgerConfig{Dir: dir + "/states"})
	if err != nil {
		t.Fatalf("cannot open the states: %v", err)
	}
	return s
}
