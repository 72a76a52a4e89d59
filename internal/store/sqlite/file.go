package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// File is an open database file. It is used by one goroutine at a time.
type File struct {
	path string
	db   *sql.DB
	conn *sql.Conn // the only one

	head  Head  // as of the last commit, or of the transaction that runs
	total int64 // of the checksums of all rows, likewise

	putDocument, deleteDocument *sql.Stmt
	putBooking, deleteBooking   *sql.Stmt
	putHead                     *sql.Stmt
}

// Open opens the file at path, checks it and brings its tables up to date. Its
// log is folded into it whenever it has grown by so many bytes. An error for which
// IsDamaged holds means that the file should be set aside.
func Open(ctx context.Context, path string, log int64) (*File, error) {
	f, err := open(ctx, path, live)
	if err != nil {
		return nil, err
	}
	if err = f.prepare(ctx); err == nil {
		err = f.readHead(ctx)
	}
	if err == nil {
		err = f.exec(ctx, fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", max(1, log/pageSize)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.Close())
	}
	return f, nil
}

const pageSize = 4096 // SQLite's own choice

// mode is how a file is opened.
type mode string

const (
	// live: an exclusive lock keeps the WAL's index in memory, and others out. That
	// the file has a WAL is written in it by Create: to ask for it again here
	// would bring the index's file back.
	live mode = "_pragma=locking_mode(EXCLUSIVE)&_pragma=synchronous(FULL)"
	// whole: a new file that is synced as one before anybody can see it.
	whole mode = "_pragma=locking_mode(EXCLUSIVE)&_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)"
	// readOnly: a finished file that nobody writes.
	readOnly mode = "mode=ro&immutable=1"
)

// open connects to the file, checks it and migrates it when it can be written.
func open(ctx context.Context, path string, m mode) (*File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Path: abs, RawQuery: "_pragma=busy_timeout(5000)&_txlock=immediate&" + string(m)}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	f := &File{path: path, db: db}
	if err := f.start(ctx, m); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return f, nil
}

func (f *File) start(ctx context.Context, m mode) error {
	if err := f.check(ctx); err != nil {
		return err
	}
	if err := f.own(ctx, m); err != nil {
		return err
	}
	if m != readOnly {
		if err := migrate(ctx, f.db); err != nil {
			return err
		}
	}
	var err error
	f.conn, err = f.db.Conn(ctx)
	return err
}

// applicationID tells our databases from those of other programs, and from an
// empty file: nothing is written to one that is not ours.
const applicationID = 0x44727672 // "Drvr"

func (f *File) own(ctx context.Context, m mode) error {
	if m == whole {
		_, err := f.db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
		return err
	}
	var id int64
	if err := f.db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != applicationID {
		return fmt.Errorf("%w: it is empty or another program's", ErrDamaged)
	}
	return nil
}

// check reads every page, and every index against its table: a row that its
// index has lost would otherwise be missing without a word.
func (f *File) check(ctx context.Context) error {
	var verdict string
	if err := f.db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("check: %w: %s", ErrDamaged, verdict)
	}
	return nil
}

// migrate runs the migrations that the file lacks, each in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the tables: %w", foreign(err))
	}
	if current > newest {
		return fmt.Errorf("%w: its tables are at version %d, this one knows %d", ErrTooNew, current, newest)
	}
	if current == newest {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", foreign(err))
	}
	return nil
}

func (f *File) prepare(ctx context.Context) error {
	for _, s := range []struct {
		to  **sql.Stmt
		sql string
	}{
		{&f.putDocument, `INSERT INTO documents (kind, name, revision, body, checksum) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision, body = excluded.body, checksum = excluded.checksum`},
		{&f.deleteDocument, `DELETE FROM documents WHERE kind = $1 AND name = $2`},
		{&f.putBooking, `INSERT INTO bookings (pool, number, holder, checksum) VALUES ($1, $2, $3, $4)
			ON CONFLICT (pool, number) DO UPDATE SET holder = excluded.holder, checksum = excluded.checksum`},
		{&f.deleteBooking, `DELETE FROM bookings WHERE pool = $1 AND number = $2`},
		{&f.putHead, `INSERT INTO head (id, revision, sequence, copied, total, checksum) VALUES (1, $1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, sequence = excluded.sequence, copied = excluded.copied,
			total = excluded.total, checksum = excluded.checksum`},
	} {
		stmt, err := f.conn.PrepareContext(ctx, s.sql)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", s.sql, foreign(err))
		}
		*s.to = stmt
	}
	return nil
}

// Close folds the WAL into the file and closes it.
func (f *File) Close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{f.putDocument, f.deleteDocument, f.putBooking, f.deleteBooking, f.putHead} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	errs = append(errs, f.db.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close %s: %w", f.path, err)
	}
	return nil
}
