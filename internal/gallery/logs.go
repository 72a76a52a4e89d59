package gallery

import (
	"context"
	"io"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// routeLogs sends what distribution logs to logger. It logs through logrus'
// standard logger, of which a process has one; nothing else in Drover uses it.
// Requests are logged by this package: of the rest only warnings are kept.
func routeLogs(logger *slog.Logger) {
	std := logrus.StandardLogger()
	std.SetOutput(io.Discard)
	std.SetLevel(logrus.WarnLevel)
	hooks := logrus.LevelHooks{}
	hooks.Add(toSlog{logger})
	std.ReplaceHooks(hooks)
}

type toSlog struct{ logger *slog.Logger }

func (toSlog) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes a message on at debug level: whatever went wrong is also in the
// answer, which is logged with its weight where it is given.
func (t toSlog) Fire(e *logrus.Entry) error {
	attrs := make([]slog.Attr, 0, 2)
	for _, key := range []string{"vars.name", "vars.reference"} {
		if v, ok := e.Data[key]; ok {
			attrs = append(attrs, slog.Any(key, v))
		}
	}
	t.logger.LogAttrs(context.Background(), slog.LevelDebug, "registry: "+e.Message, attrs...)
	return nil
}
