package vfs

import (
	"errors"
	"io"
	"path/filepath"
)

// Op is one operation that is about to happen.
type Op struct {
	// Name is the method: "open", "create", "rename", "remove", "list", "mkdir", "lock", "syncdir", "read", "write",
	// "truncate", "sync", "size".
	Name string
	// File is the base name of the file (of the target, for a rename).
	File string
	// Off and Len are those of a read or write.
	Off int64
	Len int
}

// ShortWriteError as the error of a write makes its first N bytes arrive and then fails with Err.
type ShortWriteError struct {
	N   int
	Err error
}

// Error implements error.
func (e *ShortWriteError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ShortWriteError) Unwrap() error { return e.Err }

// Faulty asks Hook before each operation; an error of Hook becomes that of the operation, which does not happen.
// Hook is called by many goroutines.
type Faulty struct {
	FS   FS
	Hook func(Op) error
}

var _ FS = Faulty{}

func (f Faulty) ask(name, path string) error {
	return f.Hook(Op{Name: name, File: filepath.Base(path)})
}

// MkdirAll implements FS.
func (f Faulty) MkdirAll(dir string) error {
	if err := f.ask("mkdir", dir); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir)
}

// List implements FS.
func (f Faulty) List(dir string) ([]string, error) {
	if err := f.ask("list", dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

// Open implements FS.
func (f Faulty) Open(path string) (File, error) { return f.file("open", path, f.FS.Open) }

// Create implements FS.
func (f Faulty) Create(path string) (File, error) { return f.file("create", path, f.FS.Create) }

func (f Faulty) file(op, path string, open func(string) (File, error)) (File, error) {
	if err := f.ask(op, path); err != nil {
		return nil, err
	}
	inner, err := open(path)
	if err != nil {
		return nil, err
	}
	return &faultyFile{inner, filepath.Base(path), f.Hook}, nil
}

// Rename implements FS.
func (f Faulty) Rename(from, to string) error {
	if err := f.ask("rename", to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// Remove implements FS.
func (f Faulty) Remove(path string) error {
	if err := f.ask("remove", path); err != nil {
		return err
	}
	return f.FS.Remove(path)
}

// SyncDir implements FS.
func (f Faulty) SyncDir(dir string) error {
	if err := f.ask("syncdir", dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

// Lock implements FS.
func (f Faulty) Lock(path string) (io.Closer, error) {
	if err := f.ask("lock", path); err != nil {
		return nil, err
	}
	return f.FS.Lock(path)
}

type faultyFile struct {
	File
	name string
	hook func(Op) error
}

// ReadAt implements File.
func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.hook(Op{"read", f.name, off, len(p)}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// WriteAt implements File.
func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.hook(Op{"write", f.name, off, len(p)})
	if short, ok := errors.AsType[*ShortWriteError](err); ok {
		n, werr := f.File.WriteAt(p[:min(short.N, len(p))], off)
		return n, errors.Join(err, werr)
	}
	if err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

// Truncate implements File.
func (f *faultyFile) Truncate(size int64) error {
	if err := f.hook(Op{"truncate", f.name, size, 0}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Sync implements File.
func (f *faultyFile) Sync() error {
	if err := f.hook(Op{Name: "sync", File: f.name}); err != nil {
		return err
	}
	return f.File.Sync()
}

// Size implements File.
func (f *faultyFile) Size() (int64, error) {
	if err := f.hook(Op{Name: "size", File: f.name}); err != nil {
		return 0, err
	}
	return f.File.Size()
}
