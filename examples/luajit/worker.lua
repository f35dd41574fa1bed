-- An activity worker in LuaJIT. Needs only the library:
--
--     luajit worker.lua TASK_QUEUE TASKS
--
-- Takes tasks from the task queue, does ten steps for each, and ends after this number of tasks. A task continues after the
-- last step that a killed worker recorded. The server's address is read from TEMPORAL_ADDRESS.

local ffi = require("ffi")

-- Declarations copied from temporal_heartbeat.h. (For all of them: cc -E -P temporal_heartbeat.h)
ffi.cdef [[
typedef int32_t thb_status_t;
typedef int32_t thb_encoding_t;
typedef uint64_t thb_activity_t;
typedef uint64_t thb_worker_t;
typedef struct thb_error_t thb_error_t;
typedef struct thb_details_t thb_details_t;
typedef struct thb_task_t thb_task_t;

const char *thb_status_name(thb_status_t status);
const char *thb_error_message(const struct thb_error_t *error);
void thb_error_free(struct thb_error_t *error);
thb_status_t thb_connect(const char *options_json, size_t options_len, struct thb_error_t **error_out);
thb_status_t thb_disconnect(uint32_t timeout_ms, struct thb_error_t **error_out);

thb_status_t thb_worker_open(const char *options_json, size_t options_len, thb_worker_t *worker_out,
                             struct thb_error_t **error_out);
thb_status_t thb_worker_next(thb_worker_t worker, uint32_t timeout_ms, struct thb_task_t **task_out,
                             struct thb_error_t **error_out);
thb_activity_t thb_task_activity(const struct thb_task_t *task);
const char *thb_task_activity_type(const struct thb_task_t *task);
const struct thb_details_t *thb_task_details(const struct thb_task_t *task);
void thb_task_free(struct thb_task_t *task);

const void *thb_details_data(const struct thb_details_t *details, size_t index, size_t *len_out);
thb_status_t thb_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding, const void *details,
                                    size_t details_len, uint32_t *signals_out, struct thb_error_t **error_out);
thb_status_t thb_activity_complete(thb_activity_t activity, thb_encoding_t encoding, const void *result,
                                   size_t result_len, uint32_t timeout_ms, struct thb_error_t **error_out);
thb_status_t thb_activity_close(thb_activity_t activity, uint32_t timeout_ms, struct thb_error_t **error_out);
]]

local JSON, ENDED, FOREVER, TIMEOUT_MS, STEPS = 1, 24, 0xffffffff, 10000, 10

local thb = ffi.load(os.getenv("TEMPORAL_HEARTBEAT_LIBRARY") or "libtemporal_heartbeat.so.0")
local error_out = ffi.new("thb_error_t *[1]")

-- Raises an error with the library's message if the status isn't THB_OK.
local function must(status)
    if status == 0 then return end
    local message = ffi.string(thb.thb_status_name(status)) .. ": " .. ffi.string(thb.thb_error_message(error_out[0]))
    thb.thb_error_free(error_out[0])
    error(message, 0)
end

-- Returns the last step of the previous attempt, or 0.
local function last_step(task)
    local len = ffi.new("size_t[1]")
    local data = thb.thb_details_data(thb.thb_task_details(task), 0, len)
    return data ~= nil and tonumber(ffi.string(data, len[0])) or 0
end

local function work_on(task)
    local activity = thb.thb_task_activity(task)
    for step = last_step(task) + 1, STEPS do
        local json = tostring(step) -- the work
        must(thb.thb_activity_heartbeat(activity, JSON, json, #json, nil, error_out))
    end
    local result = '"' .. STEPS .. ' steps"'
    must(thb.thb_activity_complete(activity, JSON, result, #result, TIMEOUT_MS, error_out))
end

must(thb.thb_connect(nil, 0, error_out))
local options = ('{"task_queue": "%s", "max_concurrent": 1, "max_tasks": %d}'):format(arg[1], arg[2])
local worker_out = ffi.new("thb_worker_t[1]")
must(thb.thb_worker_open(options, #options, worker_out, error_out))
print("running")
io.stdout:flush()
while true do
    local task_out = ffi.new("thb_task_t *[1]")
    local status = thb.thb_worker_next(worker_out[0], FOREVER, task_out, error_out)
    if status == ENDED then break end
    must(status)
    local task = task_out[0]
    local ok, message = pcall(work_on, task)
    if not ok then io.stderr:write(message, "\n") end -- the attempt times out, and is retried
    thb.thb_activity_close(thb.thb_task_activity(task), TIMEOUT_MS, nil)
    thb.thb_task_free(task)
end
thb.thb_disconnect(TIMEOUT_MS, nil)
