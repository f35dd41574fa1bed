package interop;

import io.temporal.client.WorkflowClient;
import io.temporal.client.WorkflowClientOptions;
import io.temporal.common.converter.CodecDataConverter;
import io.temporal.common.converter.DataConverter;
import io.temporal.common.converter.DefaultDataConverter;
import io.temporal.serviceclient.WorkflowServiceStubs;
import io.temporal.serviceclient.WorkflowServiceStubsOptions;
import io.temporal.worker.Worker;
import io.temporal.worker.WorkerFactory;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** The worker of the official Java SDK. README.md in the peers folder describes it. */
public final class Main {
  public static void main(String[] args) throws IOException {
    String address = args[0], namespace = args[1], taskQueue = args[2];
    WorkflowServiceStubs service =
        WorkflowServiceStubs.newServiceStubs(WorkflowServiceStubsOptions.newBuilder().setTarget(address).build());
    DataConverter plain = DefaultDataConverter.newDefaultInstance();
    List<WorkerFactory> factories =
        List.of(
            start(service, namespace, taskQueue, plain),
            start(service, namespace, taskQueue + "-encrypted", new CodecDataConverter(plain, List.of(new Cipher()))));
    printLine(Map.of("ready", true));
    System.in.readAllBytes();
    factories.forEach(WorkerFactory::shutdownNow);
    factories.forEach(factory -> factory.awaitTermination(10, TimeUnit.SECONDS));
    service.shutdownNow();
  }

  private static WorkerFactory start(
      WorkflowServiceStubs service, String namespace, String taskQueue, DataConverter converter) {
    WorkflowClientOptions options =
        WorkflowClientOptions.newBuilder().setNamespace(namespace).setDataConverter(converter).build();
    WorkerFactory factory = WorkerFactory.newInstance(WorkflowClient.newInstance(service, options));
    Worker worker = factory.newWorker(taskQueue);
    worker.registerWorkflowImplementationTypes(InteropWorkflow.Implementation.class);
    worker.registerActivitiesImplementations(new InteropActivity.Implementation());
    factory.start();
    return factory;
  }

  static synchronized void printLine(Object value) {
    System.out.println(Show.json(value));
    System.out.flush();
  }
}
