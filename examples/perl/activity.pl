# Does the work of a Temporal Activity in Perl. Needs FFI::Platypus (Debian: libffi-platypus-perl) and the library:
#
#     perl activity.pl ITEMS
#
# Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
# finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.

use v5.36;
use FFI::Platypus 2.00;
use FFI::Platypus::Buffer qw(buffer_to_scalar);
use JSON::PP qw(encode_json);
use Time::HiRes qw(sleep);

use constant {
    ABI => 1, NONE => 0, JSON => 1, CANCEL_REQUESTED => 1, PAUSED => 2,
    STOP => 4 | 8 | 16,    # RESET, GONE, LEASE_LOST: this attempt must end
    WHILE_PAUSED => 1 | 2 | 4 | 8 | 16,    # while only PAUSED is set, the work waits
    TIMEOUT_MS => 10_000,
};

# Functions from temporal_heartbeat.h. An output pointer is a reference: opaque*, uint32*.
my $ffi = FFI::Platypus->new(api => 2, lib => $ENV{TEMPORAL_HEARTBEAT_LIBRARY} // 'libtemporal_heartbeat.so.0');
$ffi->mangler(sub ($name) { "thb_$name" });
$ffi->attach(check_abi => ['uint32'] => 'sint32');
$ffi->attach(status_name => ['sint32'] => 'string');
$ffi->attach(error_message => ['opaque'] => 'string');
$ffi->attach(error_free => ['opaque'] => 'void');
$ffi->attach(connect => ['string', 'size_t', 'opaque*'] => 'sint32', \&checked);
$ffi->attach(disconnect => ['uint32', 'opaque*'] => 'sint32');
$ffi->attach(activity_open => ['opaque', 'size_t', 'string', 'size_t', 'uint64*', 'opaque*'] => 'sint32', \&checked);
$ffi->attach(activity_get_details => ['uint64', 'uint32', 'opaque*', 'opaque*'] => 'sint32', \&checked);
$ffi->attach(activity_heartbeat => ['uint64', 'sint32', 'string', 'size_t', 'uint32*', 'opaque*'] => 'sint32', \&checked);
$ffi->attach(activity_wait => ['uint64', 'uint32', 'uint32', 'uint32', 'uint32*', 'opaque*'] => 'sint32', \&checked);
$ffi->attach(activity_complete => ['uint64', 'sint32', 'string', 'size_t', 'uint32', 'opaque*'] => 'sint32', \&checked);
$ffi->attach(activity_report_cancelled => ['uint64', 'sint32', 'string', 'size_t', 'uint32', 'opaque*'] => 'sint32', \&checked);
$ffi->attach(activity_fail => ['uint64', 'string', 'size_t', 'uint32', 'opaque'] => 'sint32');
$ffi->attach(details_data => ['opaque', 'size_t', 'size_t*'] => 'opaque');
$ffi->attach(details_attempt => ['opaque'] => 'sint32');
$ffi->attach(details_free => ['opaque'] => 'void');

# Wraps a function with error_out as its last argument. Dies with the error's message.
sub checked ($function, @arguments) {
    my $status = $function->(@arguments, \my $error) or return;
    my $message = status_name($status) . ': ' . error_message($error);
    error_free($error);
    die "$message\n";
}

# Returns the last item that the previous attempt recorded, or 0.
sub last_item ($activity) {
    activity_get_details($activity, TIMEOUT_MS, \my $details);
    my $data = details_data($details, 0, \my $len);
    my $text = defined $data ? buffer_to_scalar($data, $len) : 0;
    $text =~ /^\d+$/ or die "the previous attempt's details are not an item: $text\n";
    my $item = 0 + $text;
    say 'attempt ', details_attempt($details), " resumes after item $item";
    details_free($details);
    return $item;
}

sub work ($activity, $items) {
    for my $item (last_item($activity) + 1 .. $items) {
        sleep 0.1;    # the work
        say "item $item done";

        activity_heartbeat($activity, JSON, "$item", length $item, \my $signals);
        while (($signals & WHILE_PAUSED) == PAUSED) {    # heartbeats continue
            activity_wait($activity, WHILE_PAUSED, PAUSED, TIMEOUT_MS, \$signals);
        }
        if ($signals & CANCEL_REQUESTED) {
            activity_report_cancelled($activity, NONE, undef, 0, TIMEOUT_MS);
            return 'cancelled';
        }
        return 'stopped' if $signals & STOP;
    }
    activity_complete($activity, JSON, "$items", length $items, TIMEOUT_MS);
    return 'completed';
}

$| = 1;
die "the library has another ABI version than this program needs: install a matching library\n" if check_abi(ABI);
main::connect(undef, 0);
my $options = '{"from_env": true}';
activity_open(undef, 0, $options, length $options, \my $activity);
my $said = eval { work($activity, $ARGV[0] // 20) };
my $why = $@;
if (!defined $said) {    # a failed attempt is retried at once, and shows its reason; refused if the attempt is over
    my $failure = encode_json({ message => $why });
    activity_fail($activity, $failure, length $failure, TIMEOUT_MS, undef);
}
disconnect(TIMEOUT_MS, undef);    # sends the last record and closes the activity
die $why unless defined $said;
say $said;
