! An activity worker in Fortran 2003. Link with the library:
!
!     gfortran worker.f90 -o worker -ltemporal_heartbeat
!     worker TASK_QUEUE TASKS
!
! Takes tasks from the task queue, does ten steps for each, and ends after this number of tasks. A task continues after the last
! step that a killed worker recorded. The server's address is read from TEMPORAL_ADDRESS.
module temporal_heartbeat
    use, intrinsic :: iso_c_binding
    implicit none

    integer(c_int32_t), parameter :: ok = 0, ended = 24, json = 1
    integer(c_int32_t), parameter :: forever = -1, timeout_ms = 10000

    ! The functions of temporal_heartbeat.h that this program needs. Unsigned integers are passed as signed ones of the same size.
    interface
        function thb_connect(options, length, error) bind(c)
            import
            type(c_ptr), value :: options
            integer(c_size_t), value :: length
            type(c_ptr) :: error
            integer(c_int32_t) :: thb_connect
        end function
        function thb_disconnect(timeout, error) bind(c)
            import
            integer(c_int32_t), value :: timeout
            type(c_ptr) :: error
            integer(c_int32_t) :: thb_disconnect
        end function
        function thb_worker_open(options, length, worker, error) bind(c)
            import
            character(kind=c_char) :: options(*)
            integer(c_size_t), value :: length
            integer(c_int64_t) :: worker
            type(c_ptr) :: error
            integer(c_int32_t) :: thb_worker_open
        end function
        function thb_worker_next(worker, timeout, task, error) bind(c)
            import
            integer(c_int64_t), value :: worker
            integer(c_int32_t), value :: timeout
            type(c_ptr) :: task, error
            integer(c_int32_t) :: thb_worker_next
        end function
        function thb_task_activity(task) bind(c)
            import
            type(c_ptr), value :: task
            integer(c_int64_t) :: thb_task_activity
        end function
        function thb_task_details(task) bind(c)
            import
            type(c_ptr), value :: task
            type(c_ptr) :: thb_task_details
        end function
        subroutine thb_task_free(task) bind(c)
            import
            type(c_ptr), value :: task
        end subroutine
        function thb_details_data(details, index, length) bind(c)
            import
            type(c_ptr), value :: details
            integer(c_size_t), value :: index
            integer(c_size_t) :: length
            type(c_ptr) :: thb_details_data
        end function
        function thb_activity_heartbeat(activity, encoding, details, length, signals, error) bind(c)
            import
            integer(c_int64_t), value :: activity
            integer(c_int32_t), value :: encoding
            character(kind=c_char) :: details(*)
            integer(c_size_t), value :: length
            integer(c_int32_t) :: signals
            type(c_ptr) :: error
            integer(c_int32_t) :: thb_activity_heartbeat
        end function
        function thb_activity_complete(activity, encoding, result, length, timeout, error) bind(c)
            import
            integer(c_int64_t), value :: activity
            integer(c_int32_t), value :: encoding
            character(kind=c_char) :: result(*)
            integer(c_size_t), value :: length
            integer(c_int32_t), value :: timeout
            type(c_ptr) :: error
            integer(c_int32_t) :: thb_activity_complete
        end function
        function thb_activity_close(activity, timeout, error) bind(c)
            import
            integer(c_int64_t), value :: activity
            integer(c_int32_t), value :: timeout
            type(c_ptr) :: error
            integer(c_int32_t) :: thb_activity_close
        end function
        function thb_error_message(error) bind(c)
            import
            type(c_ptr), value :: error
            type(c_ptr) :: thb_error_message
        end function
        subroutine thb_error_free(error) bind(c)
            import
            type(c_ptr), value :: error
        end subroutine
        function strlen(text) bind(c)
            import
            type(c_ptr), value :: text
            integer(c_size_t) :: strlen
        end function
    end interface

contains

    ! Returns the text at an address.
    function text_at(address, length) result(text)
        type(c_ptr), intent(in) :: address
        integer(c_size_t), intent(in) :: length
        character(len=:), allocatable :: text
        character(kind=c_char), pointer :: bytes(:)
        integer :: i
        call c_f_pointer(address, bytes, [length])
        allocate (character(len=int(length)) :: text)
        do i = 1, int(length)
            text(i:i) = bytes(i)
        end do
    end function

    ! Ends the program with the library's message if the status isn't ok.
    subroutine must(status, error)
        integer(c_int32_t), intent(in) :: status
        type(c_ptr), intent(in) :: error
        type(c_ptr) :: message
        if (status == ok) return
        message = thb_error_message(error)
        write (*, '(a)') text_at(message, strlen(message))
        error stop 1
    end subroutine
end module

program worker_in_fortran
    use temporal_heartbeat
    implicit none
    integer, parameter :: steps = 10
    character(len=200) :: queue, tasks, options
    type(c_ptr) :: error, task
    integer(c_int64_t) :: worker
    integer(c_int32_t) :: status

    call get_command_argument(1, queue)
    call get_command_argument(2, tasks)
    options = '{"task_queue": "'//trim(queue)//'", "max_concurrent": 1, "max_tasks": '//trim(tasks)//'}'
    call must(thb_connect(c_null_ptr, 0_c_size_t, error), error)
    call must(thb_worker_open(trim(options), len_trim(options, c_size_t), worker, error), error)
    write (*, '(a)') 'running'
    flush (6)
    do
        status = thb_worker_next(worker, forever, task, error)
        if (status == ended) exit
        call must(status, error)
        call work_on(task)
        status = thb_activity_close(thb_task_activity(task), timeout_ms, error)
        call thb_task_free(task)
    end do
    call thb_error_free(error)
    call must(thb_disconnect(timeout_ms, error), error)

contains

    ! Does the steps of a task after those of the previous attempt, and completes its activity.
    subroutine work_on(task)
        type(c_ptr), intent(in) :: task
        integer(c_int64_t) :: activity
        integer(c_int32_t) :: signals
        integer(c_size_t) :: length
        type(c_ptr) :: data
        character(len=:), allocatable :: recorded
        character(len=12) :: text
        integer :: last, step
        activity = thb_task_activity(task)
        last = 0
        data = thb_details_data(thb_task_details(task), 0_c_size_t, length)
        if (c_associated(data)) then
            recorded = text_at(data, length)
            read (recorded, *) last
        end if
        do step = last + 1, steps
            write (text, '(i0)') step ! the work
            call must(thb_activity_heartbeat(activity, json, trim(text), len_trim(text, c_size_t), signals, error), error)
        end do
        call must(thb_activity_complete(activity, json, '"10 steps"', 10_c_size_t, timeout_ms, error), error)
    end subroutine
end program
