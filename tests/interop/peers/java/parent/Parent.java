import io.temporal.client.WorkflowClient;
import io.temporal.serviceclient.WorkflowServiceStubs;
import io.temporal.serviceclient.WorkflowServiceStubsOptions;
import io.temporal.worker.WorkerFactory;
import java.io.IOException;
import java.util.concurrent.TimeUnit;

/** A worker of the official Java SDK, with the activity that docs/hand-off.md prints. */
public final class Parent {
  public static void main(String[] args) throws IOException {
    String address = args[0], taskQueue = args[1];
    WorkflowServiceStubs service =
        WorkflowServiceStubs.newServiceStubs(WorkflowServiceStubsOptions.newBuilder().setTarget(address).build());
    WorkerFactory factory = WorkerFactory.newInstance(WorkflowClient.newInstance(service));
    factory.newWorker(taskQueue).registerActivitiesImplementations(new SolveImpl());
    factory.start();
    System.out.println("ready");
    System.in.readAllBytes();
    factory.shutdownNow();
    factory.awaitTermination(10, TimeUnit.SECONDS);
    service.shutdownNow();
  }
}
