// Importing the module is the permission; it exports nothing.
export {};
