/** The known types of events, each with a payload to begin with. */

/**
 * @typedef {object} Template
 * @property {string} type
 * @property {import("./client.js").Priority} priority
 * @property {Record<string, unknown>} data
 */

/** @type {readonly Template[]} */
export const TEMPLATES = [
  {
    type: "notification",
    priority: "normal",
    data: {
      title: "Your report is ready",
      message: "Revenue by region, third quarter.",
      type: "success",
      url: "/reports/2041",
    },
  },
  {
    type: "systemAlert",
    priority: "critical",
    data: {
      title: "Payments are slow",
      message: "The provider answers late. Orders wait and are not lost.",
      severity: "high",
      affectedServices: ["checkout", "invoices"],
      actionRequired: false,
    },
  },
  {
    type: "dashboardUpdate",
    priority: "normal",
    data: { updateType: "metrics", orders: 1284, revenue: 48210.5, activeUsers: 312 },
  },
  {
    type: "reportUpdate",
    priority: "normal",
    data: { updateType: "progress", reportId: "2041", percent: 80 },
  },
  {
    type: "userUpdate",
    priority: "low",
    data: { updateType: "profile", displayName: "Alice Arden" },
  },
];

/** @type {readonly import("./client.js").Priority[]} */
export const PRIORITIES = ["low", "normal", "high", "critical"];
