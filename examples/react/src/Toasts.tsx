import { Toaster, toast } from "sonner";
import { useHybridRealtime } from "tidewire/react";
import { CONNECTION } from "./events";

/** Shows notifications and alerts. It renders nothing anew when they come: it selects nothing. */
export function Toasts() {
  useHybridRealtime(
    {
      ...CONNECTION,
      eventHandlers: {
        notification: ({ data }) => {
          const { url } = data;
          toast[data.type](data.title, {
            description: data.message,
            ...(url && { action: { label: "View", onClick: () => window.open(url, "_blank") } }),
          });
        },
        systemAlert: ({ data }) => {
          toast.warning(data.title, {
            description: data.message,
            duration: data.severity === "critical" ? Number.POSITIVE_INFINITY : 8_000,
          });
        },
      },
      onGap: () => toast.info("Some news were missed", { description: "Reload what matters." }),
    },
    () => null,
  );
  return <Toaster theme="system" richColors closeButton visibleToasts={4} />;
}
