package journal_test

import (
	"testing"

	"pitboss/journal"
	"pitboss/journal/journaltest"
)

func TestMemoryContract(t *testing.T) {
	journaltest.Run(t, func(*testing.T) journaltest.Subject {
		m := journal.NewMemory(journal.MemoryConfig{})
		return journaltest.Subject{Journal: m, FailNext: m.Fail}
	})
}

func TestFilesContract(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Subject {
		t.Helper()
		j, faults := journaltest.Open(t, t.TempDir())
		return journaltest.Subject{Journal: j, FailNext: func(err error) { faults.FailWrites(err, 1, 10) }}
	})
}
