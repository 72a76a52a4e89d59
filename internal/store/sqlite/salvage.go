package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
)

// Salvage returns the highest revision that can still be read from a damaged
// file, 0 when none can. It changes nothing and never fails.
func Salvage(ctx context.Context, path string) (revision int64) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return 0
	}
	dsn := url.URL{Scheme: "file", Path: abs, RawQuery: string(readOnly)}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return 0
	}
	defer db.Close()
	for _, query := range []string{`SELECT revision FROM head`, `SELECT revision FROM documents`} {
		revision = max(revision, highest(ctx, db, query))
	}
	return revision
}

// highest reads as far as it gets.
func highest(ctx context.Context, db *sql.DB, query string) (revision int64) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return 0
	}
	defer rows.Close()
	for rows.Next() {
		var r int64
		if rows.Scan(&r) == nil && r < implausible {
			revision = max(revision, r)
		}
	}
	return revision
}

// implausible revisions come from the damage, not from a store.
const implausible = 1 << 53
