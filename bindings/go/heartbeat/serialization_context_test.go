package heartbeat

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"temporal-heartbeat.dev/go/internal/wire"
)

// contextCodec is a codec that stores the contexts that it gets.
type contextCodec struct {
	reversingCodec
	got *[]SerializationContext
}

func (c contextCodec) WithSerializationContext(activity SerializationContext) PayloadCodec {
	*c.got = append(*c.got, activity)
	return c.reversingCodec
}

// typedToken is testToken with the types, as a server makes it. standaloneToken is that of a standalone activity.
var (
	typedToken      = wire.AppendBytes(wire.AppendBytes(slices.Clone(testToken), tokenWorkflowType, []byte("Model")), tokenActivityType, []byte("solve"))
	standaloneToken = wire.AppendBytes(wire.AppendBytes(nil, tokenActivityType, []byte("solve")), tokenComponentRef,
		wire.AppendBytes(nil, componentID, []byte("activity-id")))

	ofTypedToken = SerializationContext{
		Namespace: "default", WorkflowID: "workflow-id", WorkflowType: "Model", ActivityID: "activity-id", ActivityType: "solve",
	}
)

// connectWithContextCodec connects with a contextCodec to a server that never answers, and returns its contexts.
func connectWithContextCodec(t *testing.T) *[]SerializationContext {
	t.Helper()
	got := new([]SerializationContext)
	connectWithTestCodec(t, contextCodec{got: got})
	return got
}

func wantContexts(t *testing.T, got *[]SerializationContext, want ...SerializationContext) {
	t.Helper()
	if !slices.Equal(*got, want) {
		t.Errorf("the codec got %+v, want %+v", *got, want)
	}
}

// timesOut returns a context that ends before the server answers.
func timesOut(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 1)
	t.Cleanup(cancel)
	return ctx
}

func TestCodecGetsTheContextOfTheToken(t *testing.T) {
	standalone := SerializationContext{Namespace: "default", ActivityID: "activity-id", ActivityType: "solve"}
	for _, c := range []struct {
		token []byte
		want  SerializationContext
	}{
		{typedToken, ofTypedToken}, {standaloneToken, standalone}, {[]byte{0xff}, SerializationContext{Namespace: "default"}},
	} {
		got := knownOf(context.Background(), c.token).or(SerializationContext{Namespace: "default"})
		if got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}

	got := connectWithContextCodec(t)
	ctx, cancel := context.WithTimeout(context.Background(), promptly/10)
	defer cancel()
	if err := Complete(ctx, typedToken, 41); err == nil {
		t.Error("the silent server answered")
	}
	wantContexts(t, got, ofTypedToken)
}

func TestOpenedActivityBindsItsCodecOnce(t *testing.T) {
	got := connectWithContextCodec(t)
	act, err := Open(context.Background(), typedToken, OpenOptions{InitialDetails: detailsOf(t, 1), DisablePulse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer act.Close(timesOut(t))
	for range 2 {
		if _, err := act.RecordHeartbeat(41); err != nil {
			t.Error(err)
		}
	}
	wantContexts(t, got, ofTypedToken)
}

func TestCodecGetsTheContextOfTheHandOff(t *testing.T) {
	got := connectWithContextCodec(t)
	want := ofTypedToken
	want.TaskQueue = "solvers"
	for name, value := range map[string]string{
		"TASK_TOKEN": base64.StdEncoding.EncodeToString(testToken), "WORKFLOW_ID": want.WorkflowID, "ID": want.ActivityID,
		"WORKFLOW_TYPE": want.WorkflowType, "TYPE": want.ActivityType, "TASK_QUEUE": want.TaskQueue, "HEARTBEAT_DETAILS": "",
	} {
		t.Setenv("TEMPORAL_ACTIVITY_"+name, value)
	}
	act, err := OpenFromEnv(context.Background(), OpenOptions{DisablePulse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer act.Close(timesOut(t))
	wantContexts(t, got, want)

	if known := knownOf(context.Background(), testToken); known.TaskQueue != "solvers" {
		t.Errorf("a call with the token of the environment knows %+v", known)
	}
	other := wire.AppendBytes(slices.Clone(testToken), tokenActivityID, []byte("another"))
	if known := knownOf(context.Background(), other); known.TaskQueue != "" {
		t.Errorf("a call for another activity knows %+v", known)
	}
}

func TestCallerReplacesWhatIsKnown(t *testing.T) {
	got := connectWithContextCodec(t)
	ctx := WithSerializationContext(context.Background(), SerializationContext{WorkflowType: "of the context", TaskQueue: "of the context"})
	act, err := Open(ctx, typedToken, OpenOptions{
		InitialDetails: detailsOf(t), DisablePulse: true, SerializationContext: SerializationContext{TaskQueue: "of the options"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer act.Close(timesOut(t))
	want := ofTypedToken
	want.WorkflowType, want.TaskQueue = "of the context", "of the options"
	wantContexts(t, got, want)
}

func TestContextHasTheNamespaceOfTheOptionsOrTheEnvironment(t *testing.T) {
	t.Setenv("TEMPORAL_NAMESPACE", "of the environment")
	if got := (Options{}).conversion().namespace; got != "of the environment" {
		t.Error(got)
	}
	if got := (Options{Namespace: "of the options"}).conversion().namespace; got != "of the options" {
		t.Error(got)
	}
}

func TestContextHasTheNamespaceOfTheProfile(t *testing.T) {
	needLibrary(t)
	file := filepath.Join(t.TempDir(), "temporal.toml")
	if err := os.WriteFile(file, []byte("[profile.default]\nnamespace = 'of \"the\\ profile'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := new([]SerializationContext)
	options := Options{HostPort: silentServer(t), Lazy: true, ConfigFile: file, PayloadCodec: contextCodec{got: got}}
	if err := Connect(context.Background(), options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Disconnect(context.Background()) })
	openActivity(t, OpenOptions{InitialDetails: detailsOf(t), DisablePulse: true})
	if namespace := (*got)[0].Namespace; namespace != `of "the\ profile` {
		t.Errorf("%q", namespace)
	}
}
