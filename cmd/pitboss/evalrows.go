package main

import (
	"errors"

	"pitboss/features"
	"pitboss/features/files"
)

// rowOrder says how rows come, compared with where they belong.
type rowOrder uint8

const (
	// rowsAtOnce come where they belong.
	rowsAtOnce rowOrder = iota
	// rowsByTime do so but for those of one moment.
	rowsByTime
	// rowsAtEnd come anyhow.
	rowsAtEnd
)

// vectorRows puts vectors into the order of the source.
type vectorRows struct {
	out    *files.VectorWriter
	placed *files.PlacedVectors // nil for rowsAtOnce
	order  rowOrder
	at     int64
}

func (r *vectorRows) write(place int64, id string, vec *features.Vector, kept []files.Cell) error {
	if r.placed == nil {
		return r.out.Write(id, vec, kept)
	}
	if r.order == rowsByTime && vec.At != r.at {
		if err := r.placed.Flush(); err != nil {
			return err
		}
		r.at = vec.At
	}
	return r.placed.Write(place, id, vec, kept)
}

func (r *vectorRows) close() error {
	if r.placed != nil {
		if err := errors.Join(r.placed.Flush(), r.placed.Close()); err != nil {
			return errors.Join(err, r.out.Discard())
		}
	}
	return r.out.Close()
}

// discard gives everything up, as after an error.
func (r *vectorRows) discard() (err error) {
	if r.placed != nil {
		err = r.placed.Close()
	}
	if r.out != nil {
		err = errors.Join(err, r.out.Discard())
	}
	return err
}
